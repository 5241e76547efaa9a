/**
 * Seats for sequences that go through the graph together. A batch is one tensor [batch, heads, positions, dim], so its
 * sequences must lie side by side; a sequence takes a seat when it is first batched (its prefix is copied once) and
 * keeps it. The seats between those of a batch run along idly: what is written for them lies beyond what they hold.
 * Used within the runner's only lane, so no pass is ever under way while seats move.
 */
import { bucketFor } from '../kv-buckets.ts';
import { IoBinding } from './io-binding.ts';
import type { KvBlock } from './kv-memory.ts';
import type { KvContext, NativeKvCache } from './native-kv-cache.ts';

export interface SeatRange {
  readonly binding: IoBinding;
  /** Who sits where, from the first to the last seat of the batch; undefined is an empty seat. */
  readonly seated: readonly (NativeKvCache | undefined)[];
}

export class KvSlab {
  readonly #context: KvContext;
  readonly #seated: (NativeKvCache | undefined)[]; // [numSeats]
  readonly #lastUsed: number[];
  #numPasses = 0;
  #block: KvBlock | undefined;
  /** By first seat and count; they hold the block's addresses and go with it. */
  readonly #bindings = new Map<string, IoBinding>();

  constructor(context: KvContext, numSeats: number) {
    this.#context = context;
    this.#seated = new Array(numSeats).fill(undefined);
    this.#lastUsed = new Array(numSeats).fill(0);
  }

  /**
   * Seats the caches and makes room for `numPositions` of each. All others in between must fit the same number of rows:
   * whoever cannot, stands up. Errors: EngineError out_of_memory.
   */
  bindSeats(caches: readonly NativeKvCache[], numPositions: readonly number[], numRows = 0): SeatRange {
    const { contextLength } = this.#context.graph.signature;
    for (const cache of this.#seated) {
      if (cache && !caches.includes(cache) && cache.numHeld + numRows > contextLength) cache.standUp();
    }
    const idle = this.#seated
      .filter((cache) => cache && !caches.includes(cache))
      .map((cache) => cache!.numHeld + numRows);
    this.#grow(Math.max(...numPositions, ...idle));
    for (const cache of caches) if (!cache.seat) this.#seatOf(cache, caches);
    const indexes = caches.map((cache) => cache.seat!.index);
    for (const index of indexes) this.#lastUsed[index] = this.#numPasses;
    this.#numPasses++;
    const [first, last] = [Math.min(...indexes), Math.max(...indexes)];
    return { binding: this.#bindingOf(first, last - first + 1), seated: this.#seated.slice(first, last + 1) };
  }

  copyOut(index: number, to: KvBlock, numTokens: number): void {
    this.#context.memory.copy(this.#block!, index, to, 0, numTokens);
  }

  vacate(index: number): void {
    this.#seated[index] = undefined;
  }

  /** Frees the memory. Only when no pass is under way. */
  release(): void {
    for (const binding of this.#bindings.values()) binding.release();
    this.#bindings.clear();
    if (this.#block) this.#context.memory.drop(this.#block);
    this.#block = undefined;
  }

  #grow(needed: number): void {
    if (this.#block && this.#block.numPositions >= needed) {
      const muchTooLarge =
        this.#block.numPositions > 4 * bucketFor(needed, this.#context.graph.signature.contextLength);
      if (!(muchTooLarge && this.#seated.every((cache) => !cache))) return;
    }
    const { memory, graph } = this.#context;
    const block = memory.allocate(bucketFor(needed, graph.signature.contextLength), this.#seated.length);
    for (const [index, cache] of this.#seated.entries()) {
      if (cache) memory.copy(this.#block!, index, block, index, cache.numHeld);
    }
    this.release();
    this.#block = block;
  }

  #seatOf(cache: NativeKvCache, protect: readonly NativeKvCache[]): void {
    let index = this.#seated.indexOf(undefined);
    if (index < 0) {
      const others = this.#seated.keys().filter((seat) => !protect.includes(this.#seated[seat]!));
      index = [...others].reduce((oldest, seat) => (this.#lastUsed[seat]! < this.#lastUsed[oldest]! ? seat : oldest));
      this.#seated[index]!.standUp();
    }
    cache.sitDown(this, index, this.#block!);
    this.#seated[index] = cache;
  }

  #bindingOf(first: number, count: number): IoBinding {
    const key = `${first}+${count}`;
    let binding = this.#bindings.get(key);
    if (!binding) {
      binding = new IoBinding(this.#context.session);
      this.#context.memory.bind(binding, this.#block!, first, count);
      this.#bindings.set(key, binding);
    }
    return binding;
  }
}
