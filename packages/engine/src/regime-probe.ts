/**
 * Is this model one function, whatever the shape of the passes that compute it? Asked once at start, of the machine
 * that will serve: the same tokens in passes of different lengths must give the same rows to the last bit.
 */
import { probeItem, probeTokenIds } from './probe-item.ts';
import type { KvCache, ModelRunner } from './runner.ts';

/** bit-exact: every shape tried gave the same bits. tolerance: some did not. */
export type NumericRegime = 'bit-exact' | 'tolerance';

const NUM_SHARED_TOKENS = 8;
const NUM_PROBED_TOKENS = 10;
const PASS_LENGTHS = [1, 2, 3, 5, 9];
const BATCHED_LENGTHS = [1, 3];

/** Runs some thirty short passes, which also warms the model up. Errors: whatever the runner throws. */
export async function probeNumericRegime(runner: ModelRunner): Promise<NumericRegime> {
  const { headSize, contextLength } = runner.signature;
  const total = Math.min(NUM_SHARED_TOKENS + NUM_PROBED_TOKENS, contextLength - 1);
  const tokenIds = probeTokenIds(runner, total);
  const cache = runner.createCache(total);
  try {
    const rows = await rowsByPasses(runner, cache, tokenIds, 0, total);
    const numShared = Math.min(NUM_SHARED_TOKENS, total - 1);
    for (const passLength of PASS_LENGTHS) {
      const probed = await onCopy(cache, numShared, total, (copy) =>
        rowsByPasses(runner, copy, tokenIds, numShared, passLength),
      );
      if (!sameBits(rows.subarray(numShared * headSize), probed)) return 'tolerance';
    }
    for (const length of BATCHED_LENGTHS) {
      if (total < 2 * length || runner.maxSequences < 2) continue;
      const [early, late] = await batchedRows(runner, cache, tokenIds, length);
      if (!sameBits(rows.slice(length * headSize, 2 * length * headSize), early)) return 'tolerance';
      if (!sameBits(rows.slice((total - length) * headSize), late)) return 'tolerance';
    }
    return 'bit-exact';
  } finally {
    cache.release();
  }
}

async function onCopy<T>(cache: KvCache, numValid: number, capacity: number, use: (copy: KvCache) => Promise<T>) {
  const copy = cache.fork(numValid);
  try {
    copy.ensureCapacity(capacity, numValid);
    return await use(copy);
  } finally {
    copy.release();
  }
}

/** Rows of `length` tokens near the start and of the last `length`, computed in one pass of two sequences. */
function batchedRows(runner: ModelRunner, cache: KvCache, tokenIds: Int32Array, length: number) {
  const total = tokenIds.length;
  return onCopy(cache, length, total, (early) =>
    onCopy(cache, total - length, total, async (late): Promise<[Float32Array, Float32Array]> => {
      const batch = await runner.forward([
        probeItem(runner, early, length, tokenIds.subarray(length, 2 * length)),
        probeItem(runner, late, total - length, tokenIds.subarray(total - length)),
      ]);
      const [first, second] = batch.outputs;
      const rows: [Float32Array, Float32Array] = [first!.logits.slice(), second!.logits.slice()];
      batch.release();
      return rows;
    }),
  );
}

/** Logits of the tokens from `start` on, computed in passes of `passLength`. */
async function rowsByPasses(
  runner: ModelRunner,
  cache: KvCache,
  tokenIds: Int32Array,
  start: number,
  passLength: number,
): Promise<Float32Array> {
  const { headSize } = runner.signature;
  const rows = new Float32Array((tokenIds.length - start) * headSize);
  for (let at = start; at < tokenIds.length; at += passLength) {
    const batch = await runner.forward([probeItem(runner, cache, at, tokenIds.subarray(at, at + passLength))]);
    rows.set(batch.outputs[0]!.logits, (at - start) * headSize);
    batch.release();
  }
  return rows;
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bytes = (rows: Float32Array) => Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
  return bytes(a).equals(bytes(b));
}
