/**
 * Which cache holds the longest beginning of a text: a table by the first tokens, then a comparison. Reuse is sound because
 * the keys and values of a position depend on the tokens up to it only, and, in the bit-exact regime, not on the passes
 * that computed them. Knows tokens and scopes; nothing of memory.
 */
import { TokenPrefix } from '@forerunner/protocol';
import type { CachedTokens } from './cached-tokens.ts';

/** Below this, taking a cache over is not worth its bookkeeping. Also what the table is keyed by. */
export const MIN_SHARED_TOKENS = 16;

interface Holder {
  /** Prefixes are shared only within a scope. */
  readonly scope: string;
  readonly prefix: CachedTokens;
}

export interface PrefixMatch<T> {
  readonly holder: T;
  /** Leading tokens of the text that the holder's cache has. */
  readonly numTokens: number;
}

/** A holder's tokens must not change while it is in the index. */
export class PrefixIndex<T extends Holder> {
  readonly #buckets = new Map<string, Set<T>>();

  /** Does nothing where there is too little to share. Idempotent. */
  add(holder: T): void {
    const key = keyOf(holder.scope, shareableIds(holder));
    if (key === null) return;
    const bucket = this.#buckets.get(key);
    if (bucket) bucket.add(holder);
    else this.#buckets.set(key, new Set([holder]));
  }

  /** Idempotent. */
  remove(holder: T): void {
    const key = keyOf(holder.scope, shareableIds(holder));
    const bucket = key === null ? undefined : this.#buckets.get(key);
    bucket?.delete(holder);
    if (bucket?.size === 0) this.#buckets.delete(key!);
  }

  /** The holder that has most of the first `limit` tokens; undefined where none has enough. */
  longest(scope: string, tokenIds: Int32Array, limit: number): PrefixMatch<T> | undefined {
    const wanted = tokenIds.subarray(0, Math.max(0, limit));
    const key = keyOf(scope, wanted);
    let best: PrefixMatch<T> | undefined;
    for (const holder of (key !== null && this.#buckets.get(key)) || []) {
      const ids = shareableIds(holder);
      if (best && ids[best.numTokens] !== wanted[best.numTokens]) continue; // no longer than the best
      const numTokens = commonPrefixLength(ids, wanted);
      if (numTokens >= MIN_SHARED_TOKENS && numTokens > (best?.numTokens ?? 0)) best = { holder, numTokens };
    }
    return best;
  }
}

/** How many leading ids are equal in both. */
export function commonPrefixLength(a: Int32Array, b: Int32Array): number {
  const end = Math.min(a.length, b.length);
  let length = 0;
  while (length < end && a[length] === b[length]) length++;
  return length;
}

function shareableIds({ prefix }: Holder): Int32Array {
  return prefix.ids(0, prefix.numShareable);
}

/** null: too short to be shared. */
function keyOf(scope: string, tokenIds: Int32Array): string | null {
  if (tokenIds.length < MIN_SHARED_TOKENS) return null;
  const first = new TokenPrefix(MIN_SHARED_TOKENS);
  first.append(tokenIds.subarray(0, MIN_SHARED_TOKENS));
  return first.digestAt(MIN_SHARED_TOKENS) + scope;
}
