/**
 * A runner without a model: the row that follows a text is a fixed function of the whole text, so any mistake in what is
 * cached, rolled back or shared shows in the rows. Passes can be held back, failed, and looked at.
 */
import { EngineError } from '../src/errors.ts';
import type {
  ForwardBatch,
  ForwardItem,
  ForwardOutput,
  KvCache,
  ModelRunner,
  RunnerDescription,
} from '../src/runner.ts';
import type { GraphSignature } from '../src/signature.ts';

export const VOCAB = 11;
export const BYTES_PER_TOKEN = 10;
const BUCKET = 8;

export interface ToyPass {
  readonly tokenIds: readonly (readonly number[])[];
}

class ToyCache implements KvCache {
  readonly #all: Set<ToyCache>;
  tokens: number[] = [];
  capacity = 0;
  isBusy = false;
  isReleased = false;

  constructor(all: Set<ToyCache>) {
    this.#all = all;
    all.add(this);
  }

  get bytes(): number {
    return this.isReleased ? 0 : this.capacity * BYTES_PER_TOKEN;
  }

  ensureCapacity(numTokens: number): void {
    this.#requireIdle();
    this.capacity = Math.max(this.capacity, Math.ceil(numTokens / BUCKET) * BUCKET);
  }

  fork(numValid: number): KvCache {
    this.#requireIdle();
    const copy = new ToyCache(this.#all);
    copy.tokens = this.tokens.slice(0, numValid);
    copy.ensureCapacity(numValid);
    return copy;
  }

  release(): void {
    if (this.isBusy) throw new Error('released during a pass');
    this.isReleased = true;
    this.#all.delete(this);
  }

  #requireIdle(): void {
    if (this.isBusy || this.isReleased) throw new Error('touched during a pass or after its release');
  }
}

export class ToyRunner implements ModelRunner {
  readonly signature: GraphSignature;
  readonly description: RunnerDescription = {
    runtime: 'node',
    runtimeVersion: 'toy',
    executionProvider: 'cpu',
    numFallbackNodes: 0,
    numThreads: 1,
  };
  maxSequences = 4;
  readonly passes: ToyPass[] = [];
  readonly signals: AbortSignal[] = [];
  readonly #caches = new Set<ToyCache>();
  numUnreleased = 0;
  isClosed = false;
  /** What a pass waits for before it ends. */
  gate: Promise<void> = Promise.resolve();
  failure: Error | undefined;
  /** A pass that computes this token fails. */
  brokenTokenId: number | undefined;
  /** Make rows depend on the pass's shape, as some kernels do. */
  isInexactAlone = false;
  isInexactInBatches = false;
  /** Only where at least so much is cached. */
  inexactFrom = 0;

  constructor(contextLength = 64) {
    this.signature = {
      vocabSize: VOCAB,
      headSize: VOCAB,
      contextLength,
      eosTokenIds: [2],
      numLayers: 1,
      numKvHeads: 1,
      headDim: 1,
      kvType: 'float32',
      logitsType: 'float32',
      hasPositionIds: false,
      hasAttentionMask: true,
      hiddenStatesOutput: { output: 'hidden_states', width: 1 },
    };
  }

  createCache(initialCapacity: number): KvCache {
    const cache = new ToyCache(this.#caches);
    cache.ensureCapacity(initialCapacity);
    return cache;
  }

  /** What all caches that are not released hold. */
  get bytesInUse(): number {
    return [...this.#caches].reduce((sum, cache) => sum + cache.bytes, 0);
  }

  cacheBytes(numTokens: number): number {
    return Math.ceil(numTokens / BUCKET) * BUCKET * BYTES_PER_TOKEN;
  }

  async forward(items: readonly ForwardItem[], signal?: AbortSignal): Promise<ForwardBatch> {
    this.passes.push({ tokenIds: items.map((item) => [...item.tokenIds]) });
    if (signal) this.signals.push(signal);
    const caches = items.map((item) => item.cache as ToyCache);
    if (items.length > this.maxSequences) throw new Error('more items than the runner takes');
    for (const cache of caches) cache.isBusy = true;
    try {
      await this.gate;
      if (signal?.aborted) throw new EngineError('aborted', 'stopped during the pass');
      if (this.failure) throw this.failure;
      if (items.some(({ tokenIds }) => this.brokenTokenId !== undefined && tokenIds.includes(this.brokenTokenId))) {
        throw new EngineError('model_failed', 'the pass failed');
      }
      this.numUnreleased++;
      let isReleased = false;
      return {
        outputs: items.map((item) => this.#compute(item, this.#error(items))),
        release: () => {
          if (!isReleased) this.numUnreleased--;
          isReleased = true;
        },
      };
    } finally {
      for (const cache of caches) cache.isBusy = false;
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #error(items: readonly ForwardItem[]): number {
    if (!items.some(({ numPastTokens }) => numPastTokens >= this.inexactFrom)) return 0;
    const isAlone = items.length === 1 && items[0]!.tokenIds.length === 1;
    return (this.isInexactAlone && isAlone) || (this.isInexactInBatches && items.length > 1) ? 1e-6 : 0;
  }

  #compute({ cache, numPastTokens, tokenIds, numLogitRows }: ForwardItem, error: number): ForwardOutput {
    const toy = cache as ToyCache;
    if (numPastTokens > toy.tokens.length) throw new Error('the pass builds on tokens that are not there');
    if (numPastTokens + tokenIds.length > toy.capacity) throw new Error('no room was made');
    toy.tokens.length = numPastTokens;
    const rows: number[] = [];
    for (const id of tokenIds) {
      toy.tokens.push(id);
      rows.push(...rowAfter(toy.tokens).map((x) => x + error));
    }
    return {
      logits: Float32Array.from(rows).subarray((tokenIds.length - numLogitRows) * VOCAB),
      hiddenStates: Float32Array.from(tokenIds, (_, i) => numPastTokens + i),
    };
  }
}

/** The row of logits that follows a text. */
export function rowAfter(tokens: readonly number[]): number[] {
  let hash = 17;
  for (const id of tokens) hash = (hash * 31 + id + 1) % 65_521;
  return Array.from({ length: VOCAB }, (_, v) => ((hash * (v + 3)) % 1009) / 100);
}

/** A gate that opens when told to. */
export function gate(): { closed: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { closed: promise, open: resolve };
}

/** Lets everything that can happen without a new event happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
