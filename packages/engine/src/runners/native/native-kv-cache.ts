/**
 * One sequence's cache: a block of KV memory, and the binding by which passes read and append to it in place. The binding
 * lasts as long as the block, because binding all layers anew costs half a millisecond. Rolling back is free: the pass
 * says how much counts. A fork shares the block until either side writes.
 */
import { EngineError } from '../../errors.ts';
import type { KvCache } from '../../runner.ts';
import { bucketFor } from '../kv-buckets.ts';
import type { GraphBinding } from '../signature-from-graph.ts';
import { IoBinding } from './io-binding.ts';
import type { KvBlock, KvMemory } from './kv-memory.ts';
import type { OrtSession } from './session.ts';

/** What all caches of a runner have in common. */
export interface KvContext {
  readonly session: OrtSession;
  readonly graph: GraphBinding;
  readonly memory: KvMemory;
  /** Positions that a pass may write beyond its tokens. */
  readonly numPadTokens: number;
}

export class NativeKvCache implements KvCache {
  readonly context: KvContext;
  #block: KvBlock | undefined;
  #binding: IoBinding | undefined;
  /** Tokens that were written: the most that a pass can build on. */
  #numHeld = 0;
  #inPass = false;
  #released = false;

  constructor(context: KvContext) {
    this.context = context;
  }

  get capacity(): number {
    return Math.max(0, (this.#block?.numPositions ?? 0) - this.context.numPadTokens);
  }

  get bytes(): number {
    return this.#block?.bytes ?? 0;
  }

  ensureCapacity(numTokens: number, numValid: number): void {
    this.#requireIdle();
    const { contextLength } = this.context.graph.signature;
    if (numTokens > contextLength) {
      const message = `${numTokens} tokens exceed the context of ${contextLength}`;
      throw new EngineError('context_overflow', message, { numTokens, contextLength });
    }
    if (numTokens > this.capacity)
      this.#moveTo(bucketFor(numTokens + this.context.numPadTokens, contextLength), numValid);
  }

  fork(numValid: number): NativeKvCache {
    this.#requireIdle();
    const copy = new NativeKvCache(this.context);
    copy.#block = this.#block;
    copy.#numHeld = Math.min(numValid, this.#numHeld);
    if (this.#block) this.#block.numUsers++;
    return copy;
  }

  release(): void {
    if (this.#inPass) throw new Error('a cache cannot be touched while a pass uses it');
    this.#released = true;
    this.#drop();
    this.#numHeld = 0;
  }

  /** Marks the cache as in use, with room for the pass in a block that nobody else reads. */
  beginPass(numPastTokens: number, numRows: number): IoBinding {
    this.#requireIdle();
    if (numPastTokens > this.#numHeld) {
      throw new TypeError(`the cache holds ${this.#numHeld} tokens, the pass builds on ${numPastTokens}`);
    }
    const { contextLength } = this.context.graph.signature;
    const needed = numPastTokens + numRows;
    if (!this.#block || this.#block.numPositions < needed)
      this.#moveTo(bucketFor(needed, contextLength), numPastTokens);
    else if (this.#block.numUsers > 1) this.#moveTo(this.#block.numPositions, numPastTokens);
    this.#binding ??= this.#bind(this.#block!);
    this.#inPass = true;
    return this.#binding;
  }

  endPass(numHeld: number): void {
    this.#inPass = false;
    this.#numHeld = numHeld;
  }

  /** Binds every layer of the block as past and as present: attention appends in place. */
  rebindPresent(binding: IoBinding): void {
    for (const [i, value] of this.#block!.values.entries()) {
      binding.bindOutput(this.context.graph.presentOutputs[i]!, value, this.#block);
    }
  }

  #bind(block: KvBlock): IoBinding {
    const binding = new IoBinding(this.context.session);
    for (const [i, value] of block.values.entries()) {
      binding.bindInput(this.context.graph.pastInputs[i]!, value, block);
    }
    this.rebindPresent(binding);
    return binding;
  }

  #moveTo(numPositions: number, numValid: number): void {
    const { memory } = this.context;
    const block = memory.allocate(numPositions);
    const numKept = Math.min(numValid, this.#numHeld);
    if (this.#block && numKept > 0) memory.copy(this.#block, block, numKept);
    this.#drop();
    this.#block = block;
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
    if (this.#released) throw new EngineError('closed', 'the cache was released');
    if (this.#inPass) throw new Error('a cache cannot be touched while a pass uses it');
  }
}
