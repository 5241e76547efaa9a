/**
 * The portable runner: onnxruntime-node's public API and nothing else. session.run() blocks the thread and copies every
 * output, so a step costs more as the context grows; the native runner exists for that reason. Host it in a worker
 * thread, and never terminate that worker during a pass (it aborts the process).
 */
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { EngineError } from '../errors.ts';
import type {
  ForwardBatch,
  ForwardItem,
  ForwardOutput,
  KvCache,
  ModelRunner,
  RunnerDescription,
  RunnerOptions,
} from '../runner.ts';
import type { GraphSignature } from '../signature.ts';
import { widenFloat16 } from './float16.ts';
import { bucketFor } from './kv-buckets.ts';
import { loadError, openModelFiles } from './model-files.ts';
import { type PassPlan, planPass, writeFeatures, writeTokenIds } from './pass-plan.ts';
import { type GraphBinding, type GraphInfo, signatureFromGraph } from './signature-from-graph.ts';

/** Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable. */
export async function openNodeRunner(options: RunnerOptions): Promise<ModelRunner> {
  if (options.executionProvider !== 'cpu' && options.executionProvider !== 'auto') {
    const message = `the node runtime runs on the CPU only; ${options.executionProvider} needs RUNTIME=native`;
    throw new EngineError('execution_provider_unavailable', message, { provider: options.executionProvider });
  }
  const files = openModelFiles(options.modelDir);
  const session = await createSession(files.graphPath, options.numThreads);
  try {
    const binding = signatureFromGraph(graphInfo(session), files);
    if (binding.attention === 'tensor-scatter') {
      throw new EngineError('model_unsupported', 'a graph with TensorScatter needs RUNTIME=native');
    }
    return new NodeRunner(session, binding, options);
  } catch (error) {
    await session.release();
    throw error;
  }
}

async function createSession(graphPath: string, numThreads: number): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(graphPath, {
      executionProviders: ['cpu'],
      intraOpNumThreads: numThreads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 4,
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
  } catch (cause) {
    throw loadError(graphPath, cause as Error);
  }
}

function graphInfo(session: InferenceSession): GraphInfo {
  const toInfo = (metadata: readonly InferenceSession.ValueMetadata[]) =>
    metadata.map((value) =>
      value.isTensor
        ? { name: value.name, type: value.type, shape: value.shape }
        : { name: value.name, type: 'not a tensor', shape: [] },
    );
  return { inputs: toInfo(session.inputMetadata), outputs: toInfo(session.outputMetadata) };
}

class NodeRunner implements ModelRunner {
  readonly signature: GraphSignature;
  readonly description: RunnerDescription;
  readonly #session: InferenceSession;
  readonly #binding: GraphBinding;
  readonly #minRows: number;
  /** Resolves when the passes so far are through: session.run() defers to the event loop before it blocks it. */
  #lastPass: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(session: InferenceSession, binding: GraphBinding, options: RunnerOptions) {
    this.#session = session;
    this.#binding = binding;
    this.#minRows = options.minRows;
    this.signature = binding.signature;
    this.description = {
      runtime: 'node',
      runtimeVersion: env.versions.node ?? 'unknown',
      executionProvider: 'cpu',
      numFallbackNodes: 0,
      numThreads: options.numThreads,
    };
  }

  createCache(initialCapacity: number): KvCache {
    if (this.#closed) throw new EngineError('closed', 'the runner is closed');
    const cache = new NodeKvCache(this.#session, this.#binding, this.#minRows - 1);
    cache.ensureCapacity(initialCapacity, 0);
    return cache;
  }

  cacheBytes(numTokens: number): number {
    return bucketFor(numTokens + this.#minRows - 1, this.signature.contextLength) * bytesPerToken(this.signature);
  }

  canBatch(numTokensPerItem: readonly number[]): boolean {
    return numTokensPerItem.length <= 1;
  }

  async forward(items: readonly ForwardItem[], signal?: AbortSignal): Promise<ForwardBatch> {
    const plans = items.map((item) => planPass(item, this.signature, this.#minRows));
    const outputs: ForwardOutput[] = [];
    for (const plan of plans) {
      const pass = this.#forwardOne(plan, signal);
      this.#lastPass = Promise.allSettled([this.#lastPass, pass]);
      outputs.push(await pass);
    }
    return { outputs, release() {} };
  }

  async #forwardOne(plan: PassPlan, signal: AbortSignal | undefined): Promise<ForwardOutput> {
    if (this.#closed) throw new EngineError('closed', 'the runner is closed');
    if (signal?.aborted) throw new EngineError('aborted', 'the pass was aborted before it started');
    const { cache } = plan.item;
    if (!(cache instanceof NodeKvCache && cache.belongsTo(this.#session))) {
      throw new TypeError('the cache belongs to another runner');
    }
    cache.ensureCapacity(plan.item.numPastTokens + plan.numTokens, plan.item.numPastTokens);
    cache.beginPass();
    try {
      const fetches = [...this.#binding.presentOutputs];
      if (plan.item.numLogitRows > 0) fetches.push('logits');
      const hidden = plan.item.wantHiddenStates ? this.signature.hiddenStates : undefined;
      if (hidden) fetches.push(hidden.output);
      const results = await this.#session.run(this.#feeds(plan, cache), fetches);
      cache.store(
        this.#binding.presentOutputs.map((name) => results[name] as Tensor),
        plan.item.numPastTokens + plan.numRows,
      );
      const { headSize } = this.signature;
      const from = plan.firstLogitRow * headSize;
      const to = from + plan.item.numLogitRows * headSize;
      return {
        logits: plan.item.numLogitRows > 0 ? floats(results.logits as Tensor, from, to) : new Float32Array(0),
        ...(hidden && { hiddenStates: floats(results[hidden.output] as Tensor, 0, plan.numTokens * hidden.width) }),
      };
    } catch (cause) {
      if (cause instanceof EngineError || cause instanceof TypeError) throw cause;
      throw new EngineError('model_failed', `the pass failed: ${(cause as Error).message}`, {}, { cause });
    } finally {
      cache.endPass();
    }
  }

  #feeds(plan: PassPlan, cache: NodeKvCache): Record<string, Tensor> {
    const { numRows } = plan;
    const { numPastTokens } = plan.item;
    const { signature, pastInputs } = this.#binding;
    const ids = new BigInt64Array(numRows);
    writeTokenIds(plan, ids);
    const feeds: Record<string, Tensor> = { input_ids: new Tensor('int64', ids, [1, numRows]) };
    if (signature.hasAttentionMask) {
      const total = numPastTokens + numRows;
      feeds.attention_mask = new Tensor('int64', new BigInt64Array(total).fill(1n), [1, total]);
    }
    if (signature.hasPositionIds) {
      const positions = BigInt64Array.from({ length: numRows }, (_, row) => BigInt(numPastTokens + row));
      feeds.position_ids = new Tensor('int64', positions, [1, numRows]);
    }
    if (signature.numLogitsToKeepInput) {
      feeds[signature.numLogitsToKeepInput] = new Tensor('int64', [BigInt(plan.numHeadRows)], []);
    }
    if (signature.features) {
      const { input, width } = signature.features;
      const features = new Float32Array(numRows * width);
      writeFeatures(plan, features, width);
      feeds[input] = new Tensor('float32', features, [1, numRows, width]);
    }
    for (const [i, past] of cache.pastTensors(numPastTokens).entries()) feeds[pastInputs[i]!] = past;
    return feeds;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#lastPass;
    await this.#session.release();
  }
}

/**
 * The present outputs of the last pass, kept to be the next pass's past. They are never written after they were made,
 * so a fork shares them. Attention by GroupQueryAttention takes a past that is longer than the valid prefix (the mask
 * says how much counts); plain attention wants it cut.
 */
class NodeKvCache implements KvCache {
  readonly #owner: InferenceSession;
  readonly #binding: GraphBinding;
  readonly #padTokens: number;
  #tensors: readonly Tensor[] = []; // [2 * numLayers] of [1, kvHeads, numHeld or more, headDim]
  #numHeld = 0;
  #capacity = 0;
  #inPass = false;
  #released = false;

  constructor(owner: InferenceSession, binding: GraphBinding, padTokens: number) {
    this.#owner = owner;
    this.#binding = binding;
    this.#padTokens = padTokens;
  }

  get capacity(): number {
    return Math.max(0, this.#capacity - this.#padTokens);
  }

  get bytes(): number {
    return this.#capacity * bytesPerToken(this.#binding.signature);
  }

  ensureCapacity(numTokens: number, _numValid: number): void {
    this.#requireIdle();
    const { contextLength } = this.#binding.signature;
    if (numTokens > contextLength) {
      const message = `${numTokens} tokens exceed the context of ${contextLength}`;
      throw new EngineError('context_overflow', message, { numTokens, contextLength });
    }
    this.#capacity = Math.max(this.#capacity, bucketFor(numTokens + this.#padTokens, contextLength));
  }

  fork(numValid: number): KvCache {
    this.#requireIdle();
    const copy = new NodeKvCache(this.#owner, this.#binding, this.#padTokens);
    copy.ensureCapacity(numValid, 0);
    copy.#tensors = this.#tensors;
    copy.#numHeld = Math.min(this.#numHeld, numValid);
    return copy;
  }

  release(): void {
    if (this.#inPass) throw new Error('a cache cannot be touched while a pass uses it');
    this.#released = true;
    this.#tensors = [];
    this.#numHeld = 0;
    this.#capacity = 0;
  }

  belongsTo(session: InferenceSession): boolean {
    return this.#owner === session;
  }

  beginPass(): void {
    this.#requireIdle();
    this.#inPass = true;
  }

  endPass(): void {
    this.#inPass = false;
  }

  #requireIdle(): void {
    if (this.#released) throw new EngineError('closed', 'the cache was released');
    if (this.#inPass) throw new Error('a cache cannot be touched while a pass uses it');
  }

  store(tensors: readonly Tensor[], numHeld: number): void {
    this.#tensors = tensors;
    this.#numHeld = numHeld;
  }

  pastTensors(numPastTokens: number): readonly Tensor[] {
    if (numPastTokens > this.#numHeld) {
      throw new TypeError(`the cache holds ${this.#numHeld} tokens, the pass builds on ${numPastTokens}`);
    }
    const { signature, attention, pastInputs } = this.#binding;
    const { numKvHeads, headDim, kvType } = signature;
    if (this.#tensors.length === 0 || numPastTokens === 0) {
      return pastInputs.map(() => new Tensor(kvType, emptyOf(kvType), [1, numKvHeads, 0, headDim]));
    }
    const past =
      attention === 'group-query' ? this.#tensors : this.#tensors.map((tensor) => cut(tensor, numPastTokens));
    return past.map(asInput);
  }
}

/** The first `length` positions of a [1, heads, positions, dim] tensor. */
function cut(tensor: Tensor, length: number): Tensor {
  const [, heads, positions, dim] = tensor.dims as [number, number, number, number];
  if (positions === length) return tensor;
  const source = tensor.data as Float32Array;
  const target = new (source.constructor as Float32ArrayConstructor)(heads * length * dim);
  for (let head = 0; head < heads; head++) {
    const from = head * positions * dim;
    target.set(source.subarray(from, from + length * dim), head * length * dim);
  }
  return new Tensor(tensor.type as 'float32', target, [1, heads, length, dim]);
}

/**
 * onnxruntime-node 1.30 hands out Float16Array data and, given it back, sees no bytes in it (N-API has no such type):
 * the same memory as Uint16Array is what it takes. Tensor's constructor would undo that, so the property is shadowed.
 */
function asInput(tensor: Tensor): Tensor {
  if (tensor.type === 'float16' && !Object.hasOwn(tensor, 'data')) {
    Object.defineProperty(tensor, 'data', { value: float16Bits(tensor) });
  }
  return tensor;
}

function float16Bits(tensor: Tensor): Uint16Array {
  const data = tensor.data as unknown as Float16Array | Uint16Array;
  return new Uint16Array(data.buffer, data.byteOffset, data.length);
}

function emptyOf(type: 'float32' | 'float16'): Float32Array {
  return (type === 'float32' ? new Float32Array(0) : new Float16Array(0)) as Float32Array;
}

function floats(tensor: Tensor, from: number, to: number): Float32Array {
  if (tensor.type === 'float32') return (tensor.data as Float32Array).subarray(from, to);
  const wide = new Float32Array(to - from);
  widenFloat16(float16Bits(tensor).subarray(from, to), wide);
  return wide;
}

function bytesPerToken({ numLayers, numKvHeads, headDim, kvType }: GraphSignature): number {
  return 2 * numLayers * numKvHeads * headDim * (kvType === 'float32' ? 4 : 2);
}
