/**
 * `pnpm bench:rounds`: the anatomy of a round: both models, everything else by part, processor time, bytes, and the event
 * loops' delay. One long answer at a time. Variants of the trio take turns, answer by answer, and the first one is what
 * the others are compared with.
 *
 *   node bench/src/rounds.ts [--draft 135m-feature-draft] [--k 1] [--temperatures 0,0.8] [--tokens 128] [--rounds 3]
 *                            [--variants "separate;one thread:target.ENGINE_THREAD=shared"]
 *
 * A variant is a name, a colon and settings, each of one service: `draft.`, `target.` or `coordinator.` NAME=value.
 */
import { parseArgs } from 'node:util';
import { generate, startTrio, type Trio } from '@forerunner/testkit';
import { type Anatomy, anatomyOf, scrapeAll } from './anatomy.ts';
import { PROMPTS } from './prompts.ts';
import { median } from './stats.ts';

const { values } = parseArgs({
  options: {
    draft: { type: 'string', default: '135m-feature-draft' },
    k: { type: 'string', default: '1' },
    temperatures: { type: 'string', default: '0,0.8' },
    tokens: { type: 'string', default: '128' },
    rounds: { type: 'string', default: '3' },
    variants: { type: 'string', default: 'as it is' },
  },
});

interface Variant {
  readonly name: string;
  readonly trio: Trio;
}

const variants: Variant[] = [];
try {
  for (const text of values.variants.split(';')) variants.push(await start(text));
  for (const temperature of values.temperatures.split(',')) await measure(Number(temperature));
} finally {
  await Promise.all(variants.map(({ trio }) => trio.stop()));
}

async function start(text: string): Promise<Variant> {
  const [name = '', settings = ''] = text.split(':');
  const env: Record<string, Record<string, string>> = { draft: {}, target: {}, coordinator: {} };
  for (const [, service, setting, value] of settings.matchAll(/(\w+)\.(\w+)=(\S*)/g)) env[service!]![setting!] = value!;
  const trio = await startTrio({
    target: '135m',
    draft: values.draft,
    env: { LOG_LEVEL: 'warn' },
    draftEnv: env.draft!,
    targetEnv: env.target!,
    coordinatorEnv: { MAX_DRAFT_TOKENS: '16', DRAFT_TIMEOUT_MS: '10000', ...env.coordinator },
  });
  return { name, trio };
}

async function measure(temperature: number): Promise<void> {
  const ask = ({ trio }: Variant, prompt: string, maxNewTokens: number) =>
    generate(trio.coordinator.url, {
      prompt,
      max_new_tokens: maxNewTokens,
      temperature,
      draft_k: values.k === 'auto' ? 'auto' : Number(values.k),
      prompt_lookup: false, // every round is to ask the draft
      seed: 1,
      ignore_eos: true,
    });
  const measured = new Map(variants.map((variant) => [variant, [] as Anatomy[]]));
  for (const variant of variants) await ask(variant, 'Warm up', 128);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (let i = 0; i < variants.length; i++) {
      const variant = variants[(round + i) % variants.length]!;
      const before = await scrapeAll(variant.trio);
      await ask(variant, PROMPTS[round % PROMPTS.length]!, Number(values.tokens));
      measured.get(variant)!.push(anatomyOf(before, await scrapeAll(variant.trio)));
    }
  }
  console.log(`${values.draft}, k = ${values.k}, temperature ${temperature}; per round, medians of ${values.rounds}, ms:`);
  console.table(Object.fromEntries(variants.map((variant) => [variant.name, rowOf(measured.get(variant)!)])));
}

function rowOf(runs: readonly Anatomy[]): Record<string, number | string> {
  const of = (read: (run: Anatomy) => number) => Number(median(runs.map(read)).toFixed(2));
  return {
    round: of((run) => run.roundMs),
    besides: of((run) => run.besidesMs),
    ...Object.fromEntries(Object.keys(runs[0]!.partsMs).map((part) => [part, of((run) => run.partsMs[part]!)])),
    cpu: of((run) => run.cpuMs),
    bytes: Math.round(of((run) => run.numBytes)),
    'loop delay p99': runs.at(-1)!.lagP99Ms.map((ms) => ms.toFixed(1)).join(' / '),
  };
}
