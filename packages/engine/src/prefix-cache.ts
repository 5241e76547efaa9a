/**
 * What freed sequences leave behind: caches whose texts may begin like one that is still to come. They stay until memory is
 * wanted, the longest unused go first, and one that was copied for others gets another round for each copy. Knows caches and
 * their order; who may have them, and how much memory there is, is the store's business (docs/decisions/0023-prefix-cache.md).
 */
import type { CachedTokens } from './cached-tokens.ts';
import { MIN_SHARED_TOKENS, PrefixIndex, type PrefixMatch } from './prefix-index.ts';
import type { KvCache } from './runner.ts';

/** A cache with the text that it holds. */
export interface CachedText {
  readonly scope: string;
  readonly cache: KvCache;
  readonly prefix: CachedTokens;
  /** Copies that were made of it for other texts. */
  numForks: number;
}

/** However often a text was copied, it is passed over no more often than this. */
const MAX_SECOND_CHANCES = 3;

export class PrefixCache {
  /** The longest unused first. */
  readonly #texts = new Set<CachedText>();
  readonly #index = new PrefixIndex<CachedText>();

  get size(): number {
    return this.#texts.size;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { cache } of this.#texts) bytes += cache.bytes;
    return bytes;
  }

  /** Keeps the text, or releases it when it is of no use: too short, or the beginning of one that is kept. */
  add({ scope, cache, prefix, numForks }: CachedText): void {
    prefix.truncate(prefix.numShareable);
    const text: CachedText = { scope, cache, prefix, numForks };
    const known = this.#index.longest(scope, prefix.ids(), prefix.length);
    if (known?.numTokens === prefix.length || prefix.length < MIN_SHARED_TOKENS) {
      cache.release();
      if (known) this.#touch(known.holder);
      return;
    }
    if (known && known.numTokens === known.holder.prefix.length) {
      const beginning = this.take(known.holder);
      beginning.cache.release();
      text.numForks += beginning.numForks;
    }
    this.#texts.add(text);
    this.#index.add(text);
  }

  /** The text that has most of the first `limit` tokens. */
  longest(scope: string, tokenIds: Int32Array, limit: number): PrefixMatch<CachedText> | undefined {
    return this.#index.longest(scope, tokenIds, limit);
  }

  /** Removes the text: its cache is the caller's from now on. */
  take(text: CachedText): CachedText {
    this.#texts.delete(text);
    this.#index.remove(text);
    return text;
  }

  /** A copy of its first tokens, for another text. */
  fork(text: CachedText, numTokens: number): KvCache {
    this.#touch(text);
    text.numForks++;
    return text.cache.fork(numTokens);
  }

  /** Releases the text that is least likely to be wanted again. Its bytes; 0 when there is none. */
  evict(): number {
    for (const text of this.#texts) {
      if (text.numForks > 0) {
        text.numForks = Math.min(text.numForks, MAX_SECOND_CHANCES) - 1;
        this.#touch(text); // comes again at the end of this very loop
        continue;
      }
      const { bytes } = text.cache;
      this.take(text).cache.release();
      return bytes;
    }
    return 0;
  }

  clear(): void {
    for (const text of this.#texts) this.take(text).cache.release();
  }

  #touch(text: CachedText): void {
    this.#texts.delete(text);
    this.#texts.add(text);
  }
}
