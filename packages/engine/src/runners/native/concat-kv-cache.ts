/**
 * One sequence's cache for graphs with plain attention, as Optimum writes them: present is Concat(past, new rows), so the
 * two cannot share memory and their shapes must be exact. Two blocks take turns: a pass reads one and writes the other.
 * Growing and forking copy nothing, since a past is only read; rolling back moves the heads closer together.
 */
import { type CacheContext, CacheUse } from '../cache-use.ts';
import type { HostBlock, HostKvMemory } from './kv-memory.ts';
import type { Pointer } from './ort-api.ts';
import type { PassCache } from './pass-cache.ts';

export class ConcatKvCache implements PassCache {
  readonly context: CacheContext;
  readonly #memory: HostKvMemory;
  readonly #use: CacheUse;
  /** What passes read, perhaps with forks; it is laid out for exactly #numPositions positions, or more than are held. */
  #past: HostBlock | undefined;
  #numPositions = 0;
  /** What the next pass writes; nobody else knows it. */
  #present: HostBlock | undefined;
  #numReserved = 0;
  /** The pass under way; with numRows and tensors once they are given out. */
  #pass: { readonly numPastTokens: number; numRows: number; tensors: readonly Pointer[] } | undefined;

  constructor(context: CacheContext, memory: HostKvMemory) {
    this.context = context;
    this.#memory = memory;
    this.#use = new CacheUse(context);
  }

  get capacity(): number {
    return this.#use.capacityOf(this.#numReserved);
  }

  get bytes(): number {
    return 2 * this.#numReserved * this.#memory.bytesPerPosition;
  }

  /** Only a promise: the blocks are made by the passes that need them. */
  ensureCapacity(numTokens: number, _numValid: number): void {
    this.#use.requireIdle();
    const numPositions = this.#use.positionsFor(numTokens);
    if (numTokens > this.capacity) this.#numReserved = numPositions;
  }

  fork(numValid: number): ConcatKvCache {
    this.#use.requireIdle();
    const copy = new ConcatKvCache(this.context, this.#memory);
    if (!this.#past) return copy;
    this.#past.numUsers++;
    copy.#past = this.#past;
    copy.#numPositions = this.#numPositions;
    copy.#use.numHeld = Math.min(numValid, this.#use.numHeld);
    copy.#numReserved = this.#past.numPositions;
    return copy;
  }

  release(): void {
    this.#use.release();
    for (const block of [this.#past, this.#present]) if (block) this.#memory.drop(block);
    this.#past = this.#present = undefined;
    this.#numPositions = this.#numReserved = 0;
  }

  beginPass(numPastTokens: number): void {
    this.#use.begin(numPastTokens);
    this.#pass = { numPastTokens, numRows: 0, tensors: [] };
  }

  tensors(numPastTokens: number, numRows: number): { past: readonly Pointer[]; present: readonly Pointer[] } {
    const total = numPastTokens + numRows;
    this.#numReserved = Math.max(this.#numReserved, this.#use.bucket(total));
    this.#past ??= this.#memory.allocate(this.#numReserved);
    if (numPastTokens < this.#numPositions) this.#rollBack(numPastTokens);
    if (this.#present && this.#present.numPositions < total) {
      this.#memory.drop(this.#present);
      this.#present = undefined;
    }
    this.#present ??= this.#memory.allocate(this.#numReserved);
    const past = this.#memory.tensorsOf(this.#past.memory, this.#past.numPositions, numPastTokens);
    const present = this.#memory.tensorsOf(this.#present.memory, this.#present.numPositions, total);
    Object.assign(this.#pass!, { numRows, tensors: [...past, ...present] });
    return { past, present };
  }

  /** Blocks change places when the pass wrote something; else the past is what it was. */
  endPass(numHeld: number): void {
    const { numPastTokens, numRows, tensors } = this.#pass!;
    this.#memory.release(tensors);
    this.#pass = undefined;
    this.#use.end(numHeld);
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
      const to = from.numUsers === 1 ? from : this.#memory.allocate(this.#numReserved);
      this.#memory.layOut(from, this.#numPositions, to, numPositions);
      if (to !== from) this.#memory.drop(from);
      this.#past = to;
    }
    this.#numPositions = numPositions;
  }
}
