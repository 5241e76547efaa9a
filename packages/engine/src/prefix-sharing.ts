/**
 * Which cached tokens a new text may take over instead of computing them. Sound because the keys and values of a
 * position depend on the tokens up to it only, and, in the bit-exact regime, not on the passes that computed them.
 */
import type { Sequence } from './sequences.ts';

/** Below this, copying a cache is not worth its bookkeeping. */
const MIN_SHARED_TOKENS = 16;

/** How many leading ids are equal in both, up to `limit`. */
export function commonPrefixLength(a: Int32Array, b: Int32Array, limit: number): number {
  const end = Math.min(a.length, b.length, Math.max(0, limit));
  let length = 0;
  while (length < end && a[length] === b[length]) length++;
  return length;
}

/** The sequence that shares most with `tokenIds`; undefined where none shares enough. */
export function findDonor<T extends Sequence>(
  candidates: Iterable<T>,
  tokenIds: Int32Array,
  limit: number,
): { sequence: T; numTokens: number } | undefined {
  let best: { sequence: T; numTokens: number } | undefined;
  for (const sequence of candidates) {
    const numTokens = commonPrefixLength(sequence.prefix.ids(), tokenIds, limit);
    if (numTokens >= MIN_SHARED_TOKENS && numTokens > (best?.numTokens ?? 0)) best = { sequence, numTokens };
  }
  return best;
}
