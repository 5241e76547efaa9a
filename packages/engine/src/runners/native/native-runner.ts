/**
 * The fast runner: ONNX Runtime's C API on the library that onnxruntime-node ships. Nothing is copied but the output
 * rows, nothing blocks the event loop, and the KV cache stays where the model runs. docs/decisions/0010-native-runtime.md
 * says why, and what upstream must ship before this folder can be deleted.
 */

import { aborted, closed, modelFailed } from '../../errors.ts';
import type {
  ForwardBatch,
  ForwardItem,
  ForwardOutput,
  KvCache,
  ModelRunner,
  RunnerDescription,
  RunnerOptions,
} from '../../runner.ts';
import type { GraphSignature } from '../../signature.ts';
import type { CacheContext } from '../cache-use.ts';
import { bucketFor, bytesPerPosition } from '../kv-buckets.ts';
import { planPass } from '../pass-plan.ts';
import { ConcatKvCache } from './concat-kv-cache.ts';
import { HostKvMemory, type KvMemory } from './kv-memory.ts';
import { type LoadedModel, loadModel } from './load-model.ts';
import { NativeKvCache } from './native-kv-cache.ts';
import type { OutputBuffers } from './output-rows.ts';
import type { PassCache } from './pass-cache.ts';
import type { PassGraph, PassItem } from './pass-graph.ts';
import { QuickRuns } from './quick-runs.ts';
import { RunGate, type RunOptions } from './run-gate.ts';

/** From here on the time to give memory back is lost in the pass. */
const LARGE_PASS_ROWS = 64;

/** Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable | runtime_unavailable. */
export async function openNativeRunner(options: RunnerOptions): Promise<ModelRunner> {
  return new NativeRunner(await loadModel(options), options);
}

class NativeRunner implements ModelRunner {
  readonly signature: GraphSignature;
  readonly description: RunnerDescription;
  readonly maxSequences: number;
  readonly #model: LoadedModel;
  readonly #memory: KvMemory;
  readonly #buffers: OutputBuffers;
  /** Smallest first. */
  readonly #graphs: readonly PassGraph[];
  readonly #minRows: number;
  readonly #caches: CacheContext;
  readonly #gate: RunGate;
  /** A device's time is not this thread's. */
  readonly #quickRuns: QuickRuns | undefined;
  #closing: Promise<void> | undefined;

  constructor(model: LoadedModel, { minRows }: RunnerOptions) {
    this.#model = model;
    this.signature = model.signature;
    this.description = model.description;
    this.#memory = model.memory;
    this.#buffers = model.buffers;
    this.#graphs = model.graphs;
    this.maxSequences = model.graphs.at(-1)!.numSlots;
    this.#minRows = minRows;
    this.#caches = { contextLength: model.signature.contextLength, numPadTokens: minRows - 1 };
    this.#gate = new RunGate(model.api);
    this.#quickRuns = model.description.executionProvider === 'cpu' ? new QuickRuns() : undefined;
  }

  createCache(initialCapacity: number): KvCache {
    if (this.#closing) throw closed('the runner is closed');
    const isPlain = this.#model.attention === 'plain' && this.#memory instanceof HostKvMemory;
    const cache = isPlain
      ? new ConcatKvCache(this.#caches, this.#memory)
      : new NativeKvCache(this.#caches, this.#memory);
    cache.ensureCapacity(initialCapacity, 0);
    return cache;
  }

  cacheBytes(numTokens: number): number {
    const numPositions = bucketFor(numTokens + this.#caches.numPadTokens, this.signature.contextLength);
    const numBlocks = this.#model.attention === 'plain' ? 2 : 1;
    return numBlocks * numPositions * bytesPerPosition(this.signature);
  }

  async forward(items: readonly ForwardItem[], signal?: AbortSignal): Promise<ForwardBatch> {
    if (this.#closing) throw closed('the runner is closed');
    if (items.length > this.maxSequences) {
      throw new TypeError(`a pass takes at most ${this.maxSequences} sequences, got ${items.length}`);
    }
    const plans = items.map((item) => planPass(item, this.signature, this.#minRows));
    const taken: Float32Array[] = [];
    const release = () => this.#buffers.giveBack(taken.splice(0));
    try {
      const outputs = await this.#pass(
        plans.map((plan) => ({ plan, cache: this.#own(plan.item.cache) })),
        taken,
        signal,
      );
      return { outputs, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #own(cache: KvCache): PassCache {
    if ((cache as PassCache).context === this.#caches) return cache as PassCache;
    throw new TypeError('the cache belongs to another runner');
  }

  async #pass(items: readonly PassItem[], taken: Float32Array[], signal?: AbortSignal): Promise<ForwardOutput[]> {
    const begun: [PassCache, numHeld: number][] = [];
    try {
      for (const { plan, cache } of items) {
        cache.beginPass(plan.item.numPastTokens);
        begun.push([cache, plan.item.numPastTokens]);
      }
      return await this.#gate.enter(signal, async (options) => {
        const read = await this.#run(items, taken, options, signal);
        for (const [i, entry] of begun.entries()) entry[1] += items[i]!.plan.numTokens;
        return read();
      });
    } finally {
      for (const [cache, numHeld] of begun) cache.endPass(numHeld);
    }
  }

  async #run(
    items: readonly PassItem[],
    taken: Float32Array[],
    options: RunOptions,
    signal: AbortSignal | undefined,
  ): Promise<() => ForwardOutput[]> {
    const graph = this.#graphs.find(({ numSlots }) => numSlots >= items.length)!;
    const { run, numRows, read } = graph.prepare(items, taken);
    try {
      const runOptions = numRows > LARGE_PASS_ROWS ? options.large : options.usual;
      await (this.#quickRuns ? this.#quickRuns.run(run, runOptions, numRows) : run.run(runOptions));
    } catch (cause) {
      if (signal?.aborted) throw aborted('the pass was aborted', cause);
      throw modelFailed(cause as Error);
    }
    return read;
  }

  close(): Promise<void> {
    this.#closing ??= this.#gate.close().then(() => this.#model.close());
    return this.#closing;
  }
}
