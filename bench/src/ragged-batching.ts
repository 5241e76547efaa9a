/**
 * When does scoring several sequences in one pass pay? One pass of the ragged graph over B sequences of T rows each,
 * against B passes of the original graph over one sequence, interleaved in one process, both through the native runner.
 *
 *   node bench/src/ragged-batching.ts MODEL_FOLDER [--threads 1] [--rounds 9] [--out FILE.json]
 *
 * Sequences have different lengths, close to the capacity, as the engine's buckets keep them. Ratios of the quickest
 * rounds: on a shared host the quickest says most about the work, and both sides had the same chances.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type KvCache, type ModelRunner, openRunner } from '@forerunner/engine';

const CAPACITIES = [256, 1024];
const NUM_SEQUENCES = [1, 2, 4, 8];
const NUM_ROWS = [1, 2, 3, 4, 5];
const MAX_SEQUENCES = Math.max(...NUM_SEQUENCES);
/** Between the lengths of neighbouring sequences, so that the batch is ragged. */
const LENGTH_STEP = 3;
const PREFILL_CHUNK = 128;

interface Sequences {
  readonly runner: ModelRunner;
  readonly caches: readonly KvCache[]; // [MAX_SEQUENCES]
  readonly lengths: readonly number[]; // cached tokens
}

interface Row {
  readonly capacity: number;
  readonly numRows: number;
  readonly numSequences: number;
  /** One pass over all, and the sum of a pass for each, in milliseconds. */
  readonly batchMs: number;
  readonly oneByOneMs: number;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '9' },
    out: { type: 'string' },
  },
});
const [modelDir] = positionals;
if (!modelDir) {
  console.error('usage: node bench/src/ragged-batching.ts MODEL_FOLDER [--threads 1] [--rounds 9] [--out FILE.json]');
  process.exit(2);
}
const numThreads = Number(values.threads);
const numRounds = Number(values.rounds);

const original = await open(modelDir, 1);
const ragged = await open(modelDir, MAX_SEQUENCES);
try {
  console.log(
    `${modelDir}, ${numThreads} thread(s): one pass over B sequences of T rows, ms, and its ratio to B passes`,
  );
  const rows: Row[] = [];
  for (const capacity of CAPACITIES.filter((size) => size <= original.signature.contextLength)) {
    console.log(`capacity ${capacity}   T  ${NUM_SEQUENCES.map((count) => `B = ${count}`.padStart(14)).join('')}`);
    const alone = await fill(original, capacity);
    const together = await fill(ragged, capacity);
    for (const numRows of NUM_ROWS) {
      const measured = await measure(capacity, numRows, alone, together);
      console.log(`${String(numRows).padStart(16)}  ${measured.map(cell).join('')}`);
      rows.push(...measured);
    }
    for (const cache of [...alone.caches, ...together.caches]) cache.release();
  }
  if (values.out) writeFileSync(values.out, `${JSON.stringify({ modelDir, numThreads, numRounds, rows }, null, 1)}\n`);
} finally {
  await original.close();
  await ragged.close();
}

function open(dir: string, maxBatchItems: number): Promise<ModelRunner> {
  return openRunner({
    modelDir: dir,
    numThreads,
    minRows: 2,
    maxBatchItems,
    executionProvider: 'cpu',
    deviceId: 0,
    runtime: 'native',
  });
}

async function fill(runner: ModelRunner, capacity: number): Promise<Sequences> {
  const longest = capacity - 2 * Math.max(...NUM_ROWS);
  const lengths = Array.from({ length: MAX_SEQUENCES }, (_, i) => longest - LENGTH_STEP * i);
  const caches = lengths.map(() => runner.createCache(capacity));
  for (const [i, cache] of caches.entries()) {
    for (let from = 0; from < lengths[i]!; from += PREFILL_CHUNK) {
      const tokenIds = tokensAt(from, Math.min(PREFILL_CHUNK, lengths[i]! - from));
      (await runner.forward([{ cache, numPastTokens: from, tokenIds, numLogitRows: 0 }])).release();
    }
  }
  return { runner, caches, lengths };
}

async function measure(capacity: number, numRows: number, alone: Sequences, together: Sequences): Promise<Row[]> {
  const quickest = NUM_SEQUENCES.map(() => ({
    batchMs: Number.POSITIVE_INFINITY,
    oneByOneMs: Number.POSITIVE_INFINITY,
  }));
  for (let round = 0; round < numRounds + 1; round++) {
    for (const [i, count] of NUM_SEQUENCES.entries()) {
      const best = quickest[i]!;
      const batchMs = await timed(() => score(together, numRows, 0, count));
      let oneByOneMs = 0;
      for (let b = 0; b < count; b++) oneByOneMs += await timed(() => score(alone, numRows, b, 1));
      if (round === 0) continue; // the first one seats sequences and warms up
      best.batchMs = Math.min(best.batchMs, batchMs);
      best.oneByOneMs = Math.min(best.oneByOneMs, oneByOneMs);
    }
  }
  return NUM_SEQUENCES.map((numSequences, i) => ({ capacity, numRows, numSequences, ...quickest[i]! }));
}

/** Scores the same rows again and again: the cache is rolled back by its length. */
async function score({ runner, caches, lengths }: Sequences, numRows: number, first: number, count: number) {
  const items = caches.slice(first, first + count).map((cache, i) => ({
    cache,
    numPastTokens: lengths[first + i]!,
    tokenIds: tokensAt(lengths[first + i]!, numRows),
    numLogitRows: numRows,
  }));
  (await runner.forward(items)).release();
}

function tokensAt(position: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, row) => 3 + (((position + row) * 397) % 890));
}

async function timed(run: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

function cell({ batchMs, oneByOneMs }: Row): string {
  return `${batchMs.toFixed(1)} (${(batchMs / oneByOneMs).toFixed(2)})`.padStart(14);
}
