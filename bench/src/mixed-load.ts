/**
 * `node bench/src/mixed-load.ts`: time to the first token of short requests while long prompts are read, through HTTP.
 * With `--against ROOT` another checkout of the project is measured in turns with this one.
 *
 *   node bench/src/mixed-load.ts [--against ROOT] [--tokens 2800] [--long 4] [--rounds 2]
 */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { startTrio, Trio } from '@forerunner/testkit';
import { streamEvents } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';
import { median } from './stats.ts';

const { values } = parseArgs({
  options: {
    against: { type: 'string' },
    tokens: { type: 'string', default: '2800' },
    long: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '2' },
  },
});
const here = join(import.meta.dirname, '../..');
const roots = { here, ...(values.against && { there: resolve(values.against) }) };
const trios: Record<string, Trio> = {};
const times: Record<string, { short: number[]; long: number[] }> = {};
try {
  for (const [name, root] of Object.entries(roots)) {
    const kit = (await import(join(root, 'packages/testkit/src/index.ts'))) as { startTrio: typeof startTrio };
    trios[name] = await kit.startTrio({
      target: '135m',
      draft: '135m-feature-draft',
      env: { LOG_LEVEL: 'warn' },
      targetEnv: { BATCH_SIZE: '8' },
      coordinatorEnv: { MAX_CONCURRENT_REQUESTS: '32', TARGET_TIMEOUT_MS: '600000' },
    });
    times[name] = { short: [], long: [] };
    await timeToFirstToken(name, 'Warm.');
  }
  for (let round = 0; round < Number(values.rounds); round++)
    for (const name of Object.keys(trios)) await load(name, round);
} finally {
  await Promise.all(Object.values(trios).map((trio) => trio.stop()));
}
console.table(
  Object.fromEntries(
    Object.entries(times).map(([name, { short, long }]) => [
      name,
      {
        'short requests': short.length,
        'median, ms': median(short).toFixed(0),
        'p95, ms': short.toSorted((a, b) => a - b)[Math.floor(0.95 * short.length)]!.toFixed(0),
        'worst, ms': Math.max(...short).toFixed(0),
        'long prompts, median, ms': median(long).toFixed(0),
      },
    ]),
  ),
);

/** Long prompts at once, and one short request after the other until all of them have their first token. */
async function load(name: string, round: number): Promise<void> {
  const { short, long } = times[name]!;
  let numReading = Number(values.long);
  const reading = Array.from({ length: numReading }, async (_, i) => {
    long.push(await timeToFirstToken(name, longPrompt(round, i)));
    numReading--;
  });
  for (let i = 0; numReading > 0; i++) {
    short.push(await timeToFirstToken(name, `Question ${round}.${i}: ${PROMPTS[i % PROMPTS.length]!.slice(0, 90)}`));
  }
  await Promise.all(reading);
}

async function timeToFirstToken(name: string, prompt: string): Promise<number> {
  const startMs = performance.now();
  let ttftMs: number | null = null;
  const body = { prompt, temperature: 0, max_new_tokens: 4, ignore_eos: true };
  for await (const _ of streamEvents(trios[name]!.coordinator.url, body)) ttftMs ??= performance.now() - startMs;
  return ttftMs!;
}

/** A prompt of its own each time, so that no cached prefix helps. */
function longPrompt(round: number, i: number): string {
  const numCharacters = 4.6 * Number(values.tokens);
  let text = `Text ${round}.${i}.`;
  for (let at = round + 3 * i; text.length < numCharacters; at++) text += ` ${PROMPTS[at % PROMPTS.length]}`;
  return text.slice(0, numCharacters);
}
