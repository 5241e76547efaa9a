/**
 * Would it pay to draft ahead, while the target verifies? A pass of each model alone, one after the other, and both at the
 * same time, in turns within one process. What the target loses beside the draft is paid in every round; what the draft
 * gains is had in those rounds only whose outcome was foreseen.
 *
 *   node bench/src/overlap.ts [--target smollm2-135m-instruct-int8] [--draft smollm2-135m-draft-feature-int8] [--threads 2] [--rounds 60]
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openRunner } from '@forerunner/engine';
import { median } from './stats.ts';

/** Cached tokens, and new ones: what a round at K = 1 has. */
const PAST = 256;
const NUM_NEW = 2;

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'smollm2-135m-instruct-int8' },
    draft: { type: 'string', default: 'smollm2-135m-draft-feature-int8' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '60' },
  },
});

/** One pass, and its milliseconds. */
type Pass = () => Promise<number>;

const open = async (model: string, numThreads: number, minRows: number) => {
  const runner = await openRunner({
    modelDir: resolve(import.meta.dirname, '../../models', model),
    numThreads,
    minRows,
    maxBatchItems: 1,
    executionProvider: 'cpu',
    deviceId: 0,
    runtime: 'native',
  });
  const width = runner.signature.hiddenStatesInput?.width ?? 0;
  const cache = runner.createCache(PAST + 2 * NUM_NEW);
  const forward = async (numPastTokens: number, numTokens: number): Promise<number> => {
    const startedMs = performance.now();
    const tokenIds = new Int32Array(numTokens).fill(7);
    const hiddenStates = width > 0 ? { hiddenStates: new Float32Array(numTokens * width) } : {};
    const numLogitRows = Math.min(numTokens, NUM_NEW);
    (await runner.forward([{ cache, numPastTokens, tokenIds, numLogitRows, ...hiddenStates }])).release();
    return performance.now() - startedMs;
  };
  await forward(0, PAST);
  const pass: Pass = () => forward(PAST, NUM_NEW);
  return { pass, close: () => runner.close() };
};

const target = await open(values.target, Number(values.threads), 2);
const draft = await open(values.draft, 1, 1);
const samples = {
  target: [],
  draft: [],
  'target beside the draft': [],
  'draft beside the target': [],
  both: [],
} as Record<string, number[]>;
for (let round = 0; round < Number(values.rounds) + 5; round++) {
  const one = { target: await target.pass(), draft: await draft.pass() };
  const startedMs = performance.now();
  const together = await Promise.all([target.pass(), draft.pass()]);
  const both = performance.now() - startedMs;
  if (round < 5) continue;
  for (const [name, ms] of Object.entries({
    ...one,
    'target beside the draft': together[0],
    'draft beside the target': together[1],
    both,
  }))
    samples[name]!.push(ms);
}
await Promise.all([target.close(), draft.close()]);
console.log(`${values.threads} thread(s) of the target, medians of ${values.rounds}, ms`);
console.table(Object.fromEntries(Object.entries(samples).map(([name, ms]) => [name, median(ms).toFixed(2)])));
