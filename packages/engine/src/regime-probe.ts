/**
 * Is this model one function, whatever the shape of the passes that compute it? Asked once at start, of the machine
 * that will serve: the same tokens in passes of different lengths must give the same rows to the last bit.
 */
import type { KvCache, ModelRunner } from './runner.ts';

/** bit-exact: every shape tried gave the same bits. tolerance: some did not. */
export type NumericRegime = 'bit-exact' | 'tolerance';

const NUM_SHARED_TOKENS = 8;
const NUM_PROBED_TOKENS = 10;
const PASS_LENGTHS = [1, 2, 3, 5, 9];

/** Runs some thirty short passes, which also warms the model up. Errors: whatever the runner throws. */
export async function probeNumericRegime(runner: ModelRunner): Promise<NumericRegime> {
  const total = Math.min(NUM_SHARED_TOKENS + NUM_PROBED_TOKENS, runner.signature.contextLength - 1);
  const tokenIds = Int32Array.from({ length: total }, (_, i) => (1 + i * 7919) % runner.signature.vocabSize);
  const cache = runner.createCache(total);
  try {
    const rows = await rowsByPasses(runner, cache, tokenIds, 0, total);
    const numShared = Math.min(NUM_SHARED_TOKENS, total - 1);
    const reference = rows.subarray(numShared * runner.signature.headSize);
    for (const passLength of PASS_LENGTHS) {
      const copy = cache.fork(numShared);
      try {
        copy.ensureCapacity(total, numShared);
        const probed = await rowsByPasses(runner, copy, tokenIds, numShared, passLength);
        if (!sameBits(reference, probed)) return 'tolerance';
      } finally {
        copy.release();
      }
    }
    return 'bit-exact';
  } finally {
    cache.release();
  }
}

/** Logits of the tokens from `start` on, computed in passes of `passLength`. */
async function rowsByPasses(
  runner: ModelRunner,
  cache: KvCache,
  tokenIds: Int32Array,
  start: number,
  passLength: number,
): Promise<Float32Array> {
  const { headSize, features } = runner.signature;
  const rows = new Float32Array((tokenIds.length - start) * headSize);
  for (let at = start; at < tokenIds.length; at += passLength) {
    const chunk = tokenIds.subarray(at, at + passLength);
    const item = { cache, numPastTokens: at, tokenIds: chunk, numLogitRows: chunk.length };
    const input = features && { features: new Float32Array(chunk.length * features.width).fill(0.1) };
    const batch = await runner.forward([{ ...item, ...input }]);
    rows.set(batch.outputs[0]!.logits, (at - start) * headSize);
    batch.release();
  }
  return rows;
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bytes = (rows: Float32Array) => Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
  return bytes(a).equals(bytes(b));
}
