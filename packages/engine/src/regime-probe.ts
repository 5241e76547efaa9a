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

/** Kernels choose by how much is cached, too. */
const LONG_TEXTS = [64, 256, 1024, 4096, 16_384];
const LONG_CHUNK = 64;
const LONG_PASS_LENGTHS = [1, 2, 5];
/** Reading long texts is given up after so long: a GPU gets through all of them, a large model on a CPU through none. */
const LONG_TEXTS_MS = 1000;

export interface ProbedRegime {
  readonly numericRegime: NumericRegime;
  /** Tokens of the longest text that was looked at. */
  readonly numProbedTokens: number;
}

/**
 * Runs some thirty short passes, which also warms the model up, then reads on as far as `longTextsMs` and `contextLength`
 * (tokens of the longest text that will be served) allow, and looks again at texts of 64, 256, … tokens.
 * Errors: whatever the runner throws.
 */
export async function probeNumericRegime(
  runner: ModelRunner,
  { contextLength, longTextsMs = LONG_TEXTS_MS }: { readonly contextLength: number; readonly longTextsMs?: number },
): Promise<ProbedRegime> {
  const total = Math.min(NUM_SHARED_TOKENS + NUM_PROBED_TOKENS, contextLength - 1);
  const tokenIds = probeTokenIds(
    runner,
    Math.max(total, Math.min(contextLength, LONG_TEXTS.at(-1)! + NUM_PROBED_TOKENS)),
  );
  const cache = runner.createCache(total);
  try {
    if (!(await isExactOnShortText(runner, cache, tokenIds.subarray(0, total)))) {
      return { numericRegime: 'tolerance', numProbedTokens: total };
    }
    return await probeLongTexts(runner, cache, tokenIds, { numRead: total, longTextsMs });
  } finally {
    cache.release();
  }
}

async function isExactOnShortText(runner: ModelRunner, cache: KvCache, tokenIds: Int32Array): Promise<boolean> {
  const { headSize } = runner.signature;
  const total = tokenIds.length;
  const rows = await rowsByPasses(runner, cache, tokenIds, 0, total);
  const numShared = Math.min(NUM_SHARED_TOKENS, total - 1);
  for (const passLength of PASS_LENGTHS) {
    const probed = await onCopy(cache, numShared, total, (copy) =>
      rowsByPasses(runner, copy, tokenIds, numShared, passLength),
    );
    if (!sameBits(rows.subarray(numShared * headSize), probed)) return false;
  }
  for (const length of BATCHED_LENGTHS) {
    if (total < 2 * length || runner.maxSequences < 2) continue;
    const [early, late] = await batchedRows(runner, cache, tokenIds, length);
    if (!sameBits(rows.slice(length * headSize, 2 * length * headSize), early)) return false;
    if (!sameBits(rows.slice((total - length) * headSize), late)) return false;
  }
  return true;
}

async function probeLongTexts(
  runner: ModelRunner,
  cache: KvCache,
  tokenIds: Int32Array,
  { numRead, longTextsMs }: { numRead: number; longTextsMs: number },
): Promise<ProbedRegime> {
  const deadlineMs = performance.now() + longTextsMs;
  let numProbedTokens = numRead;
  for (const length of LONG_TEXTS) {
    const total = length + NUM_PROBED_TOKENS;
    if (total > tokenIds.length) break;
    for (; numRead < length; numRead = Math.min(length, numRead + LONG_CHUNK)) {
      if (performance.now() >= deadlineMs) return { numericRegime: 'bit-exact', numProbedTokens };
      const chunk = tokenIds.subarray(numRead, Math.min(length, numRead + LONG_CHUNK));
      cache.ensureCapacity(numRead + chunk.length, numRead);
      const batch = await runner.forward([{ ...probeItem(runner, cache, numRead, chunk), numLogitRows: 0 }]);
      batch.release();
    }
    numProbedTokens = total;
    const isExact = await isExactAfter(runner, cache, tokenIds.subarray(0, total), length);
    if (!isExact) return { numericRegime: 'tolerance', numProbedTokens };
  }
  return { numericRegime: 'bit-exact', numProbedTokens };
}

/** Of the tokens from `numPast` on, which the cache holds the text before of: in one pass, in several, and in a batch. */
async function isExactAfter(runner: ModelRunner, cache: KvCache, tokenIds: Int32Array, numPast: number) {
  const { headSize } = runner.signature;
  const total = tokenIds.length;
  const inPasses = (passLength: number) =>
    onCopy(cache, numPast, total, (copy) => rowsByPasses(runner, copy, tokenIds, numPast, passLength));
  const rows = await inPasses(total - numPast);
  for (const passLength of LONG_PASS_LENGTHS) {
    if (!sameBits(rows, await inPasses(passLength))) return false;
  }
  if (runner.maxSequences < 2) return true;
  const [, late] = await batchedRows(runner, cache, tokenIds.subarray(0, numPast + 1), 1);
  return sameBits(rows.slice(0, headSize), late);
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
