/**
 * One sequence's cache for graphs with plain attention, as Optimum writes them: present is Concat(past, new rows), so the
 * two cannot share memory and their shapes must be exact. Two blocks take turns: a pass reads one and writes the other.
 * Growing and forking copy nothing, since a past is only read; rolling back moves the heads closer together.
 */
import { closed } from '../../errors.ts';
import { requireContext } from '../../limits.ts';
import { bucketFor } from '../kv-buckets.ts';
import { IoBinding } from './io-binding.ts';
import type { HostBlock, HostKvMemory } from './kv-memory.ts';
import type { KvContext, PassCache } from './native-kv-cache.ts';

export class ConcatKvCache implements PassCache {
  readonly context: KvContext;
  readonly #memory: HostKvMemory;
  /** What passes read, perhaps with forks; it is laid out for exactly #numPositions positions, or more than are held. */
  #past: HostBlock | undefined;
  #numPositions = 0;
  #numHeld = 0;
  /** What the next pass writes; nobody else knows it. */
  #present: HostBlock | undefined;
  #binding: IoBinding | undefined;
  #numReserved = 0;
  /** The pass under way; with numRows once its blocks are bound. */
  #pass: { readonly numPastTokens: number; numRows: number } | undefined;
  #released = false;

  constructor(context: KvContext, memory: HostKvMemory) {
    this.context = context;
    this.#memory = memory;
  }

  get capacity(): number {
    return Math.max(0, this.#numReserved - this.context.numPadTokens);
  }

  get bytes(): number {
    return 2 * this.#numReserved * this.#memory.bytesPerPosition;
  }

  /** Only a promise: the blocks are made by the passes that need them. */
  ensureCapacity(numTokens: number, _numValid: number): void {
    this.#requireIdle();
    const { contextLength } = this.context.graph.signature;
    requireContext(numTokens, contextLength);
    if (numTokens > this.capacity) this.#numReserved = bucketFor(numTokens + this.context.numPadTokens, contextLength);
  }

  fork(numValid: number): ConcatKvCache {
    this.#requireIdle();
    const copy = new ConcatKvCache(this.context, this.#memory);
    if (!this.#past) return copy;
    this.#past.numUsers++;
    copy.#past = this.#past;
    copy.#numPositions = this.#numPositions;
    copy.#numHeld = Math.min(numValid, this.#numHeld);
    copy.#numReserved = this.#past.numPositions;
    return copy;
  }

  release(): void {
    if (this.#pass) throw new Error('a cache cannot be touched while a pass uses it');
    this.#released = true;
    this.#binding?.release();
    for (const block of [this.#past, this.#present]) if (block) this.#memory.drop(block);
    this.#binding = this.#past = this.#present = undefined;
    this.#numHeld = this.#numPositions = this.#numReserved = 0;
  }

  beginPass(numPastTokens: number): void {
    this.#requireIdle();
    if (numPastTokens > this.#numHeld) {
      throw new TypeError(`the cache holds ${this.#numHeld} tokens, the pass builds on ${numPastTokens}`);
    }
    this.#pass = { numPastTokens, numRows: 0 };
  }

  bindAlone(numPastTokens: number, numRows: number): IoBinding {
    const total = numPastTokens + numRows;
    this.#numReserved = Math.max(this.#numReserved, bucketFor(total, this.context.graph.signature.contextLength));
    this.#past ??= this.#memory.allocate(this.#numReserved, 1);
    if (numPastTokens < this.#numPositions) this.#rollBack(numPastTokens);
    if (this.#present && this.#present.numPositions < total) {
      this.#memory.drop(this.#present);
      this.#present = undefined;
    }
    this.#present ??= this.#memory.allocate(this.#numReserved, 1);
    this.#binding ??= new IoBinding(this.context.session);
    this.#memory.bindExactly(this.#binding, this.#past, numPastTokens, this.#present, total);
    this.#pass!.numRows = numRows;
    return this.#binding;
  }

  /** Blocks change places when the pass wrote something; else the past is what it was. */
  endPass(numHeld: number): void {
    const { numPastTokens, numRows } = this.#pass!;
    this.#pass = undefined;
    this.#numHeld = numHeld;
    if (numHeld === numPastTokens) return;
    const old = this.#past!;
    this.#past = this.#present;
    this.#numPositions = numPastTokens + numRows;
    this.#present = old.numUsers === 1 ? old : undefined;
    if (!this.#present) this.#memory.drop(old);
  }

  /** Lays the past out for fewer positions: in place, or in a new block when forks read this one. */
  #rollBack(numPositions: number): void {
    const from = this.#past!;
    if (numPositions > 0) {
      const to = from.numUsers === 1 ? from : this.#memory.allocate(this.#numReserved, 1);
      this.#memory.layOut(from, this.#numPositions, to, numPositions);
      if (to !== from) this.#memory.drop(from);
      this.#past = to;
    }
    this.#numPositions = numPositions;
  }

  #requireIdle(): void {
    if (this.#released) throw closed('the cache was released');
    if (this.#pass) throw new Error('a cache cannot be touched while a pass uses it');
  }
}
