/**
 * One sequence's cache: a place in KV memory, and the binding by which passes read and append to it in place. The binding
 * lasts as long as the place, because binding all layers anew costs half a millisecond. Rolling back is free: the pass
 * says how much counts. A fork shares a block of its own until either side writes; a seat in the slab is not shared.
 */
import { closed } from '../../errors.ts';
import { requireContext } from '../../limits.ts';
import type { KvCache } from '../../runner.ts';
import { bucketFor } from '../kv-buckets.ts';
import type { GraphBinding } from '../signature-from-graph.ts';
import { IoBinding } from './io-binding.ts';
import type { KvBlock, KvMemory } from './kv-memory.ts';
import type { KvSlab } from './kv-slab.ts';
import type { OrtSession } from './session.ts';

/** What all caches of a runner have in common; also what tells one runner's caches from another's. */
export interface KvContext {
  readonly session: OrtSession;
  readonly graph: GraphBinding;
  readonly memory: KvMemory;
  /** Positions that a pass may write beyond its tokens. */
  readonly numPadTokens: number;
}

/** A cache as the runner sees it: reserved, bound, and given back with what it holds then. */
export interface PassCache extends KvCache {
  readonly context: KvContext;
  beginPass(numPastTokens: number): void;
  /** The binding for a pass alone: numRows positions after the first numPastTokens. Within a lane only. */
  bindAlone(numPastTokens: number, numRows: number): IoBinding;
  /** `numHeld` is what the pass began with if it failed. */
  endPass(numHeld: number): void;
}

/** Either a block of its own, or a seat among others that go through the graph together. */
interface Seat {
  readonly slab: KvSlab;
  readonly index: number;
}

export class NativeKvCache implements PassCache {
  readonly context: KvContext;
  #block: KvBlock | undefined;
  #seat: Seat | undefined;
  #binding: IoBinding | undefined;
  #numHeld = 0;
  #numReserved = 0;
  #inPass = false;
  #released = false;

  constructor(context: KvContext) {
    this.context = context;
  }

  /** Tokens that were written: the most that a pass can build on. */
  get numHeld(): number {
    return this.#numHeld;
  }

  get seat(): Seat | undefined {
    return this.#seat;
  }

  get capacity(): number {
    return Math.max(0, this.#numReserved - this.context.numPadTokens);
  }

  get bytes(): number {
    const numPositions = Math.max(this.#numReserved, this.#block?.numPositions ?? 0);
    return numPositions * this.context.memory.bytesPerPosition;
  }

  ensureCapacity(numTokens: number, numValid: number): void {
    this.#requireIdle();
    const { contextLength } = this.context.graph.signature;
    requireContext(numTokens, contextLength);
    if (numTokens <= this.capacity) return;
    const numPositions = bucketFor(numTokens + this.context.numPadTokens, contextLength);
    // The slab grows when the next pass needs it: another pass may be using it now.
    if (!this.#seat) this.#moveTo(numPositions, numValid);
    this.#numReserved = numPositions;
  }

  fork(numValid: number): NativeKvCache {
    this.#requireIdle();
    const copy = new NativeKvCache(this.context);
    const numKept = Math.min(numValid, this.#numHeld);
    if (this.#seat && numKept > 0) {
      const numPositions = bucketFor(numKept + this.context.numPadTokens, this.context.graph.signature.contextLength);
      copy.#block = this.context.memory.allocate(numPositions, 1);
      this.#seat.slab.copyOut(this.#seat.index, copy.#block, numKept);
    } else if (this.#block) {
      copy.#block = this.#block;
      this.#block.numUsers++;
    }
    copy.#numReserved = copy.#block?.numPositions ?? 0;
    copy.#numHeld = numKept;
    return copy;
  }

  release(): void {
    if (this.#inPass) throw new Error('a cache cannot be touched while a pass uses it');
    this.#released = true;
    this.#seat?.slab.vacate(this.#seat.index);
    this.#seat = undefined;
    this.#drop();
    this.#numHeld = 0;
    this.#numReserved = 0;
  }

  /** Reserves the cache for a pass: until endPass nobody else may touch it. */
  beginPass(numPastTokens: number): void {
    this.#requireIdle();
    if (numPastTokens > this.#numHeld) {
      throw new TypeError(`the cache holds ${this.#numHeld} tokens, the pass builds on ${numPastTokens}`);
    }
    this.#inPass = true;
  }

  /** The binding for a pass alone, with room for it in a block that nobody else reads. Within a lane only. */
  bindAlone(numPastTokens: number, numRows: number): IoBinding {
    const needed = numPastTokens + numRows;
    if (this.#seat) return this.#seat.slab.bindSeats([this], [needed]).binding;
    if (!this.#block || this.#block.numPositions < needed) {
      this.#moveTo(bucketFor(needed, this.context.graph.signature.contextLength), numPastTokens);
    } else if (this.#block.numUsers > 1) this.#moveTo(this.#block.numPositions, numPastTokens);
    if (!this.#binding) {
      this.#binding = new IoBinding(this.context.session);
      this.context.memory.bind(this.#binding, this.#block!, 0, 1);
    }
    return this.#binding;
  }

  endPass(numHeld: number): void {
    this.#inPass = false;
    this.#numHeld = numHeld;
  }

  /** Moves to a seat; `slab` and `index` are the place whose block this is. */
  sitDown(slab: KvSlab, index: number, seats: KvBlock): void {
    if (this.#block) this.context.memory.copy(this.#block, 0, seats, index, this.#numHeld);
    this.#drop();
    this.#seat = { slab, index };
  }

  /** Leaves the seat for a block of its own. */
  standUp(): void {
    const { slab, index } = this.#seat!;
    const numPositions = Math.max(
      this.#numReserved,
      bucketFor(this.#numHeld, this.context.graph.signature.contextLength),
    );
    const block = this.context.memory.allocate(numPositions, 1);
    slab.copyOut(index, block, this.#numHeld);
    slab.vacate(index);
    this.#seat = undefined;
    this.#block = block;
  }

  #moveTo(numPositions: number, numValid: number): void {
    const { memory } = this.context;
    const block = memory.allocate(numPositions, 1);
    const numKept = Math.min(numValid, this.#numHeld);
    if (this.#block && numKept > 0) memory.copy(this.#block, 0, block, 0, numKept);
    this.#drop();
    this.#block = block;
    this.#numReserved = Math.max(this.#numReserved, numPositions);
    this.#numHeld = numKept;
  }

  /** The binding first: it holds the addresses of the block. */
  #drop(): void {
    this.#binding?.release();
    this.#binding = undefined;
    if (this.#block) this.context.memory.drop(this.#block);
    this.#block = undefined;
  }

  #requireIdle(): void {
    if (this.#released) throw closed('the cache was released');
    if (this.#inPass) throw new Error('a cache cannot be touched while a pass uses it');
  }
}
