/**
 * Capacities of KV caches. Close to the length, because every byte counts against a budget and masked positions cost
 * time in some graphs; growing by about a quarter, so that a sequence which grows token by token is copied seldom.
 */
const GRANULARITY = 64;

/** Smallest bucket with room for `numTokens`; never above `contextLength`. */
export function bucketFor(numTokens: number, contextLength: number): number {
  const quarter = 2 ** Math.floor(Math.log2(Math.max(numTokens, 1))) / 4;
  const step = Math.max(GRANULARITY, quarter);
  return Math.min(contextLength, Math.ceil(Math.max(numTokens, 1) / step) * step);
}
