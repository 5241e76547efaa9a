/**
 * The KV caches of all sequences: who holds which tokens, whose turn it is, what is evicted when memory is short.
 * Knows tokens, digests and bytes; runs no model. Lives on one thread, so whatever happens between two awaits is atomic.
 */
import { TokenPrefix } from '@forerunner/protocol';
import { EngineError } from './errors.ts';
import { commonPrefixLength, findDonor } from './prefix-sharing.ts';
import type { KvCache, ModelRunner } from './runner.ts';

export interface AcquireRequest {
  readonly sequenceId: string;
  /** Tokens before the new ones. */
  readonly position: number;
  /** TokenPrefix.digestAt(position). */
  readonly prefixDigest: string;
  /** Prefixes are shared only within a scope. */
  readonly scope: string;
  /** The new tokens. */
  readonly tokenIds: Int32Array;
  /** At most so many of the new tokens may be taken from a cache instead of being computed. */
  readonly numReusable: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Sequence {
  readonly id: string;
  readonly scope: string;
  readonly cache: KvCache;
  /** The tokens whose keys and values the cache holds. */
  readonly prefix: TokenPrefix;
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
  readonly now?: () => number;
}

export type EvictionReason = 'budget' | 'idle_ttl';

/** `false`: the sequence is gone, look again. */
type Turn = (isYours: boolean) => void;

interface Entry extends Sequence {
  isHeld: boolean;
  isDeleted: boolean;
  lastUsedMs: number;
  readonly waiting: Turn[];
}

export class SequenceStore {
  readonly #runner: ModelRunner;
  readonly #budgetBytes: number;
  readonly #idleTtlMs: number;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  /** Deleted while in use: freed when they are released. */
  readonly #leaving = new Set<Entry>();
  readonly numEvictions: Record<EvictionReason, number> = { budget: 0, idle_ttl: 0 };

  constructor(options: SequenceStoreOptions) {
    this.#runner = options.runner;
    this.#budgetBytes = options.budgetBytes;
    this.#idleTtlMs = options.idleTtlMs;
    this.#now = options.now ?? (() => performance.now());
  }

  get numSequences(): number {
    return this.#entries.size + this.#leaving.size;
  }

  get kvBytes(): number {
    let bytes = 0;
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
    } while (entry.isHeld && !(await waitFor(entry.waiting, request.signal)));
    entry.isHeld = true;
    try {
      if (request.signal?.aborted) throw aborted();
      if (entry.scope !== request.scope) throw mismatch('the sequence belongs to another scope', 0);
      checkPosition(entry.prefix, request);
    } catch (error) {
      this.release(entry);
      throw error;
    }
    const tail = entry.prefix.ids(request.position);
    const numReusedTokens = commonPrefixLength(tail, request.tokenIds, request.numReusable);
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
      entry.isHeld = false;
      this.#free(entry);
      return;
    }
    const next = entry.waiting.shift();
    if (next) next(true);
    else entry.isHeld = false;
  }

  /** Frees at once, or when the request that uses it ends. Idempotent; false when there was nothing. */
  delete(sequenceId: string): boolean {
    const entry = this.#entries.get(sequenceId);
    if (!entry) return false;
    this.#entries.delete(sequenceId);
    entry.isDeleted = true;
    if (entry.isHeld) this.#leaving.add(entry);
    else this.#free(entry);
    return true;
  }

  /** Frees sequences that nobody used for their idle TTL. */
  evictExpired(): void {
    const oldest = this.#now() - this.#idleTtlMs;
    for (const entry of [...this.#entries.values()]) {
      if (!entry.isHeld && entry.lastUsedMs < oldest) this.#evict(entry, 'idle_ttl');
    }
  }

  /** Frees all that is idle. */
  clear(): void {
    for (const id of [...this.#entries.keys()]) this.delete(id);
  }

  #begin({ sequenceId: id, scope, tokenIds, numReusable }: AcquireRequest): HeldSequence {
    const donor = findDonor(this.#shareable(scope), tokenIds, numReusable);
    let cache: KvCache;
    if (donor) {
      const { sequence } = donor;
      sequence.isHeld = true; // not to be evicted to make room for its own copy
      try {
        this.#makeRoom(this.#runner.cacheBytes(donor.numTokens));
        cache = sequence.cache.fork(donor.numTokens);
      } finally {
        this.release(sequence);
      }
    } else {
      this.#makeRoom(this.#runner.cacheBytes(tokenIds.length));
      cache = this.#runner.createCache(tokenIds.length);
    }
    const numReusedTokens = donor?.numTokens ?? 0;
    const prefix = new TokenPrefix();
    prefix.append(tokenIds.subarray(0, numReusedTokens));
    const entry: Entry = { id, scope, cache, prefix, isHeld: true, isDeleted: false, lastUsedMs: 0, waiting: [] };
    this.#entries.set(id, entry);
    return { sequence: entry, numReusedTokens };
  }

  *#shareable(scope: string): Generator<Entry> {
    for (const entry of this.#entries.values()) if (!entry.isHeld && entry.scope === scope) yield entry;
  }

  /** Evicts idle sequences, the longest unused first, until `bytes` more fit; none when that would not be enough. */
  #makeRoom(bytes: number): void {
    let missing = this.kvBytes + bytes - this.#budgetBytes;
    if (missing <= 0) return;
    const idle = [...this.#entries.values()].filter((entry) => !entry.isHeld);
    const idleBytes = idle.reduce((sum, entry) => sum + entry.cache.bytes, 0);
    if (idleBytes < missing) {
      throw new EngineError(
        'out_of_memory',
        `the KV cache budget of ${this.#budgetBytes} bytes has no room for ${bytes} more: ${this.kvBytes} are in use`,
        { budget_bytes: this.#budgetBytes, needed_bytes: bytes },
      );
    }
    idle.sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    for (const entry of idle) {
      if (missing <= 0) return;
      missing -= entry.cache.bytes;
      this.#evict(entry, 'budget');
    }
  }

  #evict(entry: Entry, reason: EvictionReason): void {
    this.numEvictions[reason]++;
    this.delete(entry.id);
  }

  #free(entry: Entry): void {
    this.#leaving.delete(entry);
    entry.cache.release();
    for (const turn of entry.waiting.splice(0)) turn(false);
  }
}

function checkPosition(prefix: TokenPrefix, { position, prefixDigest }: AcquireRequest): void {
  if (position > prefix.length) {
    throw mismatch(`the request starts at position ${position}, ${prefix.length} tokens are cached`, prefix.length);
  }
  if (prefix.digestAt(position) !== prefixDigest) {
    throw mismatch(`the first ${position} tokens are not those that are cached (their digests differ)`, 0);
  }
}

/** Resolves when it is the caller's turn (true) or when the sequence is gone (false). Errors: EngineError aborted. */
function waitFor(waiting: Turn[], signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const turn: Turn = (isYours) => {
      signal?.removeEventListener('abort', leave);
      resolve(isYours);
    };
    const leave = () => {
      waiting.splice(waiting.indexOf(turn), 1);
      reject(aborted());
    };
    if (signal?.aborted) {
      reject(aborted());
      return;
    }
    signal?.addEventListener('abort', leave, { once: true });
    waiting.push(turn);
  });
}

function mismatch(message: string, cachedLength: number): EngineError {
  return new EngineError('sequence_mismatch', message, { cached_length: cachedLength });
}

function aborted(): EngineError {
  return new EngineError('aborted', 'the request was aborted while it waited for its sequence');
}
