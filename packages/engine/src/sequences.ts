/**
 * The KV caches of all sequences: who holds which tokens, whose turn it is, where a new text finds its beginning, what is
 * evicted when memory is short. Knows tokens, digests and bytes; runs no model. Lives on one thread, so whatever happens between two awaits is atomic.
 */
import { TokenPrefix } from '@forerunner/protocol';
import { type AcquireRequest, checkPosition } from './acquire-request.ts';
import { CachedTokens } from './cached-tokens.ts';
import { EngineError, kvBudgetExceeded, sequenceMismatch } from './errors.ts';
import { type CachedText, PrefixCache } from './prefix-cache.ts';
import { commonPrefixLength, PrefixIndex } from './prefix-index.ts';
import type { KvCache, ModelRunner } from './runner.ts';
import { abortedInTurn, Turns } from './turns.ts';

export interface Sequence {
  readonly id: string;
  readonly scope: string;
  readonly cache: KvCache;
  /** The tokens whose keys and values the cache holds. */
  readonly prefix: CachedTokens;
}

/** A sequence in use by one request. Whoever acquires it must release it. */
export interface HeldSequence {
  readonly sequence: Sequence;
  /** New tokens that a cache already held; they are part of `sequence.prefix`. */
  readonly numReusedTokens: number;
}

export interface SequenceStoreOptions {
  readonly runner: ModelRunner;
  readonly budgetBytes: number;
  /** An idle sequence that nobody has used for so long is freed. */
  readonly idleTtlMs: number;
  /** Texts take over or copy what others hold of them; what freed sequences held stays for that until memory is wanted. */
  readonly sharesPrefixes: boolean;
  /** Nobody will go on with the text of this cache. */
  readonly onEnd?: (cache: KvCache) => void;
  readonly now?: () => number;
}

/** A sequence, for memory or because its time ran out; or the cached prefix that a freed one left, for memory. */
export type EvictionReason = 'budget' | 'idle_ttl' | 'cached_prefix';

interface Entry extends Sequence {
  numForks: number;
  isHeld: boolean;
  isDeleted: boolean;
  lastUsedMs: number;
  readonly turns: Turns;
}

export class SequenceStore {
  readonly #runner: ModelRunner;
  readonly #budgetBytes: number;
  readonly #idleTtlMs: number;
  readonly #onEnd: (cache: KvCache) => void;
  readonly #now: () => number;
  #sharesPrefixes: boolean;
  readonly #entries = new Map<string, Entry>();
  /** Deleted while in use: freed when they are released. */
  readonly #leaving = new Set<Entry>();
  /** Sequences that nobody uses now. */
  readonly #idle = new PrefixIndex<Entry>();
  readonly #freed = new PrefixCache();
  readonly numEvictions: Record<EvictionReason, number> = { budget: 0, idle_ttl: 0, cached_prefix: 0 };
  /** Tokens of new texts, and those of them that a cache held already. */
  readonly prefixCacheTokens = { queries: 0, hits: 0 };

  constructor(options: SequenceStoreOptions) {
    this.#runner = options.runner;
    this.#budgetBytes = options.budgetBytes;
    this.#idleTtlMs = options.idleTtlMs;
    this.#sharesPrefixes = options.sharesPrefixes;
    this.#onEnd = options.onEnd ?? (() => {});
    this.#now = options.now ?? (() => performance.now());
  }

  get numSequences(): number {
    return this.#entries.size + this.#leaving.size;
  }

  /** What freed sequences left. */
  get cachedPrefixes(): { readonly count: number; readonly bytes: number } {
    return { count: this.#freed.size, bytes: this.#freed.bytes };
  }

  /** Of sequences and cached prefixes. */
  get kvBytes(): number {
    let bytes = this.#freed.bytes;
    for (const entry of this.#entries.values()) bytes += entry.cache.bytes;
    for (const entry of this.#leaving) bytes += entry.cache.bytes;
    return bytes;
  }

  /**
   * Waits for the sequence's earlier requests, then rolls it back to `position`, or begins it.
   * Errors: EngineError sequence_mismatch (details.cached_length: from where to send) | out_of_memory | aborted.
   */
  async acquire(request: AcquireRequest): Promise<HeldSequence> {
    let entry: Entry | undefined;
    do {
      // From this look to the return nothing is awaited, so two first requests cannot both begin the sequence.
      entry = this.#entries.get(request.sequenceId);
      if (!entry) {
        checkPosition(new TokenPrefix(1), request);
        return this.#begin(request);
      }
    } while (entry.isHeld && !(await entry.turns.wait(request.signal)));
    this.#hold(entry);
    try {
      if (request.signal?.aborted) throw abortedInTurn();
      if (entry.scope !== request.scope) throw sequenceMismatch('the sequence belongs to another scope', 0);
      checkPosition(entry.prefix, request);
    } catch (error) {
      this.release(entry);
      throw error;
    }
    const tail = entry.prefix.ids(request.position, entry.prefix.numShareable);
    const reusable = request.tokenIds.subarray(0, Math.max(0, request.numReusable));
    const numReusedTokens = commonPrefixLength(tail, reusable);
    entry.prefix.truncate(request.position + numReusedTokens);
    return { sequence: entry, numReusedTokens };
  }

  /** Makes room for `numTokens` in all. Errors: EngineError out_of_memory. */
  reserve(sequence: Sequence, numTokens: number): void {
    const { cache, prefix } = sequence;
    if (numTokens <= cache.capacity) return;
    this.#makeRoom(this.#runner.cacheBytes(numTokens) - cache.bytes);
    cache.ensureCapacity(numTokens, prefix.length);
  }

  isDeleted(sequence: Sequence): boolean {
    return (sequence as Entry).isDeleted;
  }

  /** Ends the caller's turn. A sequence that holds nothing is forgotten. */
  release(sequence: Sequence): void {
    const entry = sequence as Entry;
    entry.lastUsedMs = this.#now();
    if (entry.prefix.length === 0 && !entry.isDeleted) this.delete(entry.id);
    if (entry.isDeleted) {
      this.#leaving.delete(entry);
      this.#retire(entry);
      return;
    }
    if (!entry.turns.pass()) this.#rest(entry);
  }

  /**
   * Ends the sequence at once, or when the request that uses it ends; what it held becomes a cached prefix. Idempotent;
   * false when there was nothing.
   */
  delete(sequenceId: string): boolean {
    const entry = this.#entries.get(sequenceId);
    if (!entry) return false;
    this.#remove(entry);
    if (entry.isHeld) this.#leaving.add(entry);
    else this.#retire(entry);
    return true;
  }

  /** Frees sequences that nobody used for their idle TTL. */
  evictExpired(): void {
    const oldest = this.#now() - this.#idleTtlMs;
    for (const entry of [...this.#entries.values()]) {
      if (entry.isHeld || entry.lastUsedMs >= oldest) continue;
      this.numEvictions.idle_ttl++;
      this.delete(entry.id);
    }
  }

  /** Frees all memory, that of a sequence in use when its request ends. */
  close(): void {
    this.#sharesPrefixes = false;
    for (const id of [...this.#entries.keys()]) this.delete(id);
    this.#freed.clear();
  }

  #begin(request: AcquireRequest): HeldSequence {
    const { sequenceId: id, scope, tokenIds } = request;
    const { cache, prefix, numForks } = this.#reuse(request) ?? this.#startEmpty(request);
    const numReusedTokens = prefix.length;
    if (this.#sharesPrefixes) {
      this.prefixCacheTokens.queries += tokenIds.length;
      this.prefixCacheTokens.hits += numReusedTokens;
    }
    const state = { isHeld: true, isDeleted: false, lastUsedMs: 0, turns: new Turns() };
    const entry: Entry = { id, scope, cache, prefix, numForks, ...state };
    this.#entries.set(id, entry);
    return { sequence: entry, numReusedTokens };
  }

  #startEmpty({ scope, tokenIds }: AcquireRequest): CachedText {
    this.#makeRoom(this.#runner.cacheBytes(tokenIds.length));
    return { scope, cache: this.#runner.createCache(tokenIds.length), prefix: new CachedTokens(), numForks: 0 };
  }

  /** The longest beginning of the text that is held anywhere; undefined: none, or there is no room for a copy. */
  #reuse({ scope, tokenIds, numReusable }: AcquireRequest): CachedText | undefined {
    if (!this.#sharesPrefixes) return undefined;
    const freed = this.#freed.longest(scope, tokenIds, numReusable);
    const idle = this.#idle.longest(scope, tokenIds, numReusable);
    if (idle && idle.numTokens > (freed?.numTokens ?? 0)) {
      const { holder, numTokens } = idle;
      this.#hold(holder); // not to be evicted to make room for its own copy
      try {
        const copy = this.#roomFor(holder.cache.fork(numTokens));
        if (copy) holder.numForks++;
        return copy && { scope, cache: copy, prefix: prefixOf(tokenIds, numTokens), numForks: 0 };
      } finally {
        this.release(holder);
      }
    }
    if (!freed) return undefined;
    const { holder, numTokens } = freed;
    if (holder.prefix.length - numTokens > numTokens) {
      // Most of it is another text, which may be wanted again. If memory is short it goes once it has been copied.
      const copy = this.#roomFor(this.#freed.fork(holder, numTokens));
      return copy && { scope, cache: copy, prefix: prefixOf(tokenIds, numTokens), numForks: 0 };
    }
    const taken = this.#freed.take(holder);
    taken.prefix.truncate(numTokens);
    return taken;
  }

  /** The copy if the budget has room for it; else it is released. */
  #roomFor(copy: KvCache): KvCache | undefined {
    try {
      this.#makeRoom(copy.bytes);
      return copy;
    } catch (error) {
      copy.release();
      if (error instanceof EngineError && error.code === 'out_of_memory') return undefined;
      throw error;
    }
  }

  /**
   * Evicts until `bytes` more fit: first what freed sequences left, then idle sequences, the longest unused first. None
   * when all of it would not be enough.
   */
  #makeRoom(bytes: number): void {
    let missing = this.kvBytes + bytes - this.#budgetBytes;
    if (missing <= 0) return;
    const idle = [...this.#entries.values()].filter((entry) => !entry.isHeld);
    const idleBytes = idle.reduce((sum, entry) => sum + entry.cache.bytes, 0);
    if (this.#freed.bytes + idleBytes < missing) {
      throw kvBudgetExceeded(this.#budgetBytes, bytes, this.kvBytes);
    }
    while (missing > 0 && this.#freed.size > 0) {
      missing -= this.#freed.evict();
      this.numEvictions.cached_prefix++;
    }
    idle.sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    for (const entry of idle) {
      if (missing <= 0) return;
      missing -= entry.cache.bytes;
      this.numEvictions.budget++;
      this.#remove(entry);
      entry.cache.release();
      entry.turns.end();
    }
  }

  #hold(entry: Entry): void {
    entry.isHeld = true;
    this.#idle.remove(entry);
  }

  #rest(entry: Entry): void {
    entry.isHeld = false;
    this.#idle.add(entry);
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.id);
    this.#idle.remove(entry);
    this.#onEnd(entry.cache);
    entry.isDeleted = true;
  }

  /** The sequence is gone; what it held may stay. */
  #retire(entry: Entry): void {
    if (this.#sharesPrefixes) this.#freed.add(entry);
    else entry.cache.release();
    entry.turns.end();
  }
}

function prefixOf(tokenIds: Int32Array, numTokens: number): CachedTokens {
  const prefix = new CachedTokens(numTokens);
  prefix.append(tokenIds.subarray(0, numTokens));
  return prefix;
}
