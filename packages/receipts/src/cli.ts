/**
 * `pnpm replay FILE --url URL`: holds a receipt against a target-service. FILE is a receipt, or a reply or stream that has one.
 * Exit codes: 0 it holds, 1 it does not, 2 this cannot tell (a bad file, another model, no target, near ties).
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parseReceipt, withPrompt } from './read-receipt.ts';
import { type PlacedDifference, type ReplayReport, replay } from './replay.ts';
import { ReplayError } from './replay-error.ts';
import { ReplayTarget } from './target-rows.ts';

const USAGE = `usage: pnpm replay FILE --url http://127.0.0.1:8002 [options]

  --url URL          a target-service that has the receipt's model
  --prompt-ids FILE  the prompt's token ids (a JSON array), where the receipt does not hold them
  --choice N         of a reply with several choices, from 0 (default 0)
  --tolerance X      differences by no more than X are near ties (default: 0 where both sides are bit-exact, else 0.01)
  --json             the report as JSON
SERVICE_TOKEN in the environment is sent to the service.

Exit codes: 0 the receipt holds, 1 it does not, 2 this cannot tell.`;
const EXIT_CODES = { holds: 0, does_not_hold: 1, cannot_tell: 2 } as const;
const WORDS = { holds: 'holds', does_not_hold: 'does not hold', cannot_tell: 'cannot tell' } as const;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { code, message } = asReplayError(error);
  if (process.argv.includes('--json'))
    console.log(JSON.stringify({ outcome: 'cannot_tell', error: { code, message } }));
  else console.error(`cannot tell: ${message} (${code})`);
  process.exitCode = 2;
}

async function main(args: string[]): Promise<number> {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      url: { type: 'string' },
      'prompt-ids': { type: 'string' },
      choice: { type: 'string', default: '0' },
      tolerance: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [file, ...others] = positionals;
  if (values.help || file === undefined || others.length > 0 || values.url === undefined) {
    console[values.help ? 'log' : 'error'](USAGE);
    return values.help ? 0 : 2;
  }
  const receipt = parseReceipt(textOf(file), numberOf('choice', values.choice));
  const promptIds = values['prompt-ids'] === undefined ? undefined : promptIdsIn(values['prompt-ids']);
  const prompted = withPrompt(receipt, promptIds);
  const target = await ReplayTarget.open({ url: values.url, token: process.env.SERVICE_TOKEN });
  const tolerance = values.tolerance === undefined ? undefined : numberOf('tolerance', values.tolerance);
  const report = await replay(prompted, target, { tolerance });
  console.log(values.json ? JSON.stringify(report, numbersAsText, 1) : linesOf(report).join('\n'));
  return EXIT_CODES[report.outcome];
}

/** Errors: whatever is no mistake of the user's. */
function asReplayError(error: unknown): ReplayError {
  if (error instanceof ReplayError) return error;
  const { code, message } = error as Error & { code?: string };
  if (code?.startsWith('ERR_PARSE_ARGS')) return new ReplayError('bad_argument', message);
  throw error;
}

/** Errors: ReplayError bad_argument. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ReplayError('bad_argument', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** Errors: ReplayError bad_argument. */
function numberOf(option: string, value: string): number {
  if (value.trim() !== '' && Number(value) >= 0) return Number(value);
  throw new ReplayError('bad_argument', `--${option}: must be a number from 0, got ${JSON.stringify(value)}`);
}

/** Errors: ReplayError bad_argument. */
function promptIdsIn(file: string): number[] {
  const text = textOf(file);
  try {
    const ids = JSON.parse(text) as unknown;
    if (Array.isArray(ids) && ids.every((id) => Number.isInteger(id) && id >= 0)) return ids as number[];
  } catch {} // said below
  throw new ReplayError('bad_argument', `${file}: must be a JSON array of token ids`);
}

/** JSON has no Infinity. */
function numbersAsText(_: string, value: unknown) {
  return value === Number.POSITIVE_INFINITY ? 'Infinity' : value;
}

function linesOf(report: ReplayReport): string[] {
  const { outcome, reason, num_tokens, num_recomputed, num_supported, num_not_checked, difference } = report;
  return [
    `${WORDS[outcome]}: ${reason}`,
    ...(difference ? [describe(difference)] : []),
    `${num_tokens} tokens: ${num_recomputed} computed again, ${num_supported} could have been drawn, ${num_not_checked} not checked`,
    ...report.not_checked.map((what) => `not checked: ${what}`),
    ...report.near_ties.slice(0, 5).map((tie) => `near tie: ${describe(tie)}`),
  ];
}

function describe({ position, outputIndex, round, tokenId, expectedTokenId, margin, unit }: PlacedDifference): string {
  const expected = expectedTokenId === null ? '' : `, expected ${expectedTokenId}`;
  const amount = Number.isFinite(margin) ? margin.toExponential(3) : 'infinite';
  return `position ${position} (token ${outputIndex} of the answer, round ${round}): recorded ${tokenId}${expected}, margin ${amount} (${unit.replaceAll('_', ' ')})`;
}
