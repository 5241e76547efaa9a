/**
 * `pnpm bench:rounds`: the anatomy of a round: both models, everything else by part, processor time, bytes, the event
 * loops' delay, and tokens per second. One long answer at a time, or so many. Variants of the trio take turns, answer by
 * answer.
 *
 *   node bench/src/rounds.ts [--draft 135m-feature-draft] [--k 1] [--temperatures 0,0.8] [--tokens 128] [--rounds 3] [--clients 1]
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
    clients: { type: 'string', default: '1' },
    variants: { type: 'string', default: 'as it is' },
  },
});

interface Variant {
  readonly name: string;
  readonly trio: Trio;
}

interface Measured extends Anatomy {
  /** Of all clients together. */
  readonly tokensPerSecond: number;
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
    embedsDraft: env.coordinator!.DRAFT_ENDPOINT === 'embedded',
    env: { LOG_LEVEL: 'warn' },
    draftEnv: env.draft!,
    targetEnv: env.target!,
    coordinatorEnv: {
      MAX_DRAFT_TOKENS: '16',
      DRAFT_TIMEOUT_MS: '10000',
      PEER_CHECK_INTERVAL_MS: '1000', // as it is by default; tests look more often
      ...env.coordinator,
    },
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
  const measured = new Map(variants.map((variant) => [variant, [] as Measured[]]));
  for (const variant of variants) await ask(variant, 'Warm up', 128);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (let i = 0; i < variants.length; i++) {
      const variant = variants[(round + i) % variants.length]!;
      const before = await scrapeAll(variant.trio);
      const startedMs = performance.now();
      await Promise.all(prompts(round).map((prompt) => ask(variant, prompt, Number(values.tokens))));
      const seconds = (performance.now() - startedMs) / 1000;
      const tokensPerSecond = (Number(values.clients) * Number(values.tokens)) / seconds;
      measured.get(variant)!.push({ ...anatomyOf(before, await scrapeAll(variant.trio)), tokensPerSecond });
    }
  }
  console.log(
    `${values.draft}, k = ${values.k}, temperature ${temperature}, ${values.clients} at once; per round, medians of ${values.rounds}, ms:`,
  );
  console.table(Object.fromEntries(variants.map((variant) => [variant.name, rowOf(measured.get(variant)!)])));
}

/** One for each client. */
function prompts(round: number): string[] {
  const numClients = Number(values.clients);
  return Array.from({ length: numClients }, (_, i) => PROMPTS[(round * numClients + i) % PROMPTS.length]!);
}

function rowOf(runs: readonly Measured[]): Record<string, number | string> {
  const of = (read: (run: Measured) => number) => Number(median(runs.map(read)).toFixed(2));
  return {
    round: of((run) => run.roundMs),
    besides: of((run) => run.besidesMs),
    ...Object.fromEntries(Object.keys(runs[0]!.partsMs).map((part) => [part, of((run) => run.partsMs[part]!)])),
    cpu: of((run) => run.cpuMs),
    'tokens/s': of((run) => run.tokensPerSecond),
    bytes: Math.round(of((run) => run.numBytes)),
    'loop delay p99': runs
      .at(-1)!
      .lagP99Ms.map((ms) => ms.toFixed(1))
      .join(' / '),
  };
}
