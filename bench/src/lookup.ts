/**
 * `node bench/src/lookup.ts`: what guesses from the prompt and the answer are worth, on prompts that are to be copied or
 * edited and on others, through HTTP: with the draft, with both, and with no draft-service at all, in turns. Ratios to
 * the target alone are what counts; greedy texts must be the same.
 *
 *   node bench/src/lookup.ts [--rounds 3] [--plain 12] [--tokens 160] [--temperatures 0,0.8] [--target 135m]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Answer, freePort, generate, ServiceProcess, startTrio } from '@forerunner/testkit';
import { COPY_PROMPTS } from './copy-prompts.ts';
import { PROMPTS } from './prompts.ts';
import { median } from './stats.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    copies: { type: 'string', default: String(COPY_PROMPTS.length) },
    plain: { type: 'string', default: '12' },
    tokens: { type: 'string', default: '160' },
    temperatures: { type: 'string', default: '0,0.8' },
    target: { type: 'string', default: '135m' },
    draft: { type: 'string', default: '135m-feature-draft' },
  },
});

const WAYS = ['alone', 'draft', 'lookup and draft', 'lookup'] as const;
type Way = (typeof WAYS)[number];

interface Measured {
  readonly kind: string;
  readonly prompt: string;
  readonly temperature: number;
  readonly way: Way;
  readonly tokensPerSecond: number;
  readonly text: string;
  readonly speculation: Answer['metrics']['speculative_decoding'];
}

// As `npm start` sets them.
const drafting = { DEFAULT_DRAFT_TOKENS: '4', DEFAULT_MIN_CONFIDENCE: '0.7' };
const trio = await startTrio({
  target: values.target,
  draft: values.draft,
  env: { LOG_LEVEL: 'warn' },
  coordinatorEnv: drafting,
});
const withoutDraft = new ServiceProcess('speculative-coordinator', await freePort(), {
  LOG_LEVEL: 'warn',
  MODEL_SIZE: values.target,
  TARGET_ENDPOINT: trio.target.url,
  DRAFT_ENDPOINT: '',
});
const results: Measured[] = [];
try {
  await withoutDraft.start();
  const prompts = [
    ...COPY_PROMPTS.slice(0, Number(values.copies)),
    ...PROMPTS.slice(0, Number(values.plain)).map((prompt) => ({ kind: 'plain', prompt })),
  ];
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const { kind, prompt } of prompts) {
      for (const temperature of values.temperatures.split(',').map(Number)) {
        for (let i = 0; i < WAYS.length; i++) {
          const way = WAYS[(i + round) % WAYS.length]!;
          results.push(await measure(kind, prompt, temperature, way));
        }
      }
    }
    console.error(`round ${round + 1} of ${values.rounds}`);
  }
} finally {
  await withoutDraft.end();
  await trio.stop();
}
print();

async function measure(kind: string, prompt: string, temperature: number, way: Way): Promise<Measured> {
  const url = (way === 'lookup' ? withoutDraft : trio.coordinator).url;
  const { metrics, text } = await generate(url, {
    messages: [{ role: 'user', content: prompt }],
    max_new_tokens: Number(values.tokens),
    temperature,
    seed: 5,
    ...(way === 'alone' && { speculative: false }),
    ...(way === 'draft' && { prompt_lookup: false }),
  });
  const { decode_tokens_per_second: tokensPerSecond, speculative_decoding: speculation } = metrics;
  return { kind, prompt, temperature, way, tokensPerSecond, text, speculation };
}

function print(): void {
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores; ${values.target}, ${values.draft}`);
  for (const temperature of values.temperatures.split(',').map(Number)) {
    for (const copies of [true, false]) {
      const some = results.filter((r) => r.temperature === temperature && (r.kind !== 'plain') === copies);
      if (some.length === 0) continue;
      console.log(`temperature ${temperature}, ${copies ? 'copies and edits' : 'other prompts'}:`);
      for (const way of WAYS.slice(1)) console.log(`  ${way}: ${lineOf(some, way)}`);
    }
  }
  const differing = results.filter(({ temperature, way, prompt, text }) => {
    if (temperature > 0 || way === 'alone') return false;
    return text !== results.find((r) => r.prompt === prompt && r.way === 'alone' && r.temperature === 0)!.text;
  });
  const numGreedy = results.filter(({ temperature, way }) => temperature === 0 && way !== 'alone').length;
  console.log(`${differing.length} of ${numGreedy} greedy texts differ from the target's own`);
  const directory = join(import.meta.dirname, '..', 'results');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'lookup.json'), `${JSON.stringify(results, null, 1)}\n`);
  if (differing.length > 0) process.exitCode = 1;
}

/** Each prompt's median ratio to the target alone; the median and the worst of all prompts, and whose guesses were kept. */
function lineOf(some: readonly Measured[], way: Way): string {
  const prompts = [...new Set(some.map(({ prompt }) => prompt))];
  const ratios = prompts.map((prompt) => {
    const speeds = (of: Way) => some.filter((r) => r.prompt === prompt && r.way === of).map((r) => r.tokensPerSecond);
    const alone = speeds('alone');
    return median(speeds(way).map((speed, i) => speed / alone[i]!));
  });
  const kept = (source: 'draft' | 'lookup') => {
    const counts = some.filter((r) => r.way === way).map(({ speculation }) => speculation.by_source[source]);
    const [tokens, accepted] = (['num_draft_tokens', 'num_accepted_tokens'] as const).map((name) =>
      counts.reduce((sum, one) => sum + one[name], 0),
    );
    return `${source} ${accepted} of ${tokens}`;
  };
  const all = ratios.map((ratio) => ratio.toFixed(2)).join(' ');
  return (
    `median ${median(ratios).toFixed(2)}, worst ${Math.min(...ratios).toFixed(2)} ` +
    `(${kept('draft')}, ${kept('lookup')} kept; ${all})`
  );
}
