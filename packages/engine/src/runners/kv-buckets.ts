/**
 * Capacities of KV caches. Close to the length, because every byte counts against a budget and masked positions cost
 * time in some graphs; growing by about a quarter, so that a sequence which grows token by token is copied seldom.
 */
import type { GraphSignature } from '../signature.ts';

const GRANULARITY = 64;

/** Smallest bucket with room for `numTokens`; never above `contextLength`. */
export function bucketFor(numTokens: number, contextLength: number): number {
  const quarter = 2 ** Math.floor(Math.log2(Math.max(numTokens, 1))) / 4;
  const step = Math.max(GRANULARITY, quarter);
  return Math.min(contextLength, Math.ceil(Math.max(numTokens, 1) / step) * step);
}

/** Keys and values of one token, of all layers. */
export function bytesPerPosition({ numLayers, numKvHeads, headDim, kvType }: GraphSignature): number {
  return 2 * numLayers * numKvHeads * headDim * (kvType === 'float32' ? 4 : 2);
}
