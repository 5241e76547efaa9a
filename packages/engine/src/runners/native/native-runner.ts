/**
 * The fast runner: ONNX Runtime's C API on the library that onnxruntime-node ships. Nothing is copied but the output
 * rows, nothing blocks the event loop, and the KV cache stays where the model runs. docs/decisions/0010-native-runtime.md
 * says why, and what upstream must ship before this folder can be deleted.
 */
import { EngineError } from '../../errors.ts';
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
import { widenFloat16 } from '../float16.ts';
import { bucketFor } from '../kv-buckets.ts';
import { openModelFiles } from '../model-files.ts';
import { type PassPlan, planPass, writeFeatures, writeTokenIds } from '../pass-plan.ts';
import { type GraphBinding, signatureFromGraph } from '../signature-from-graph.ts';
import { CPU_PROVIDER, type ExecutionProvider } from './execution-provider.ts';
import type { IoBinding } from './io-binding.ts';
import { bytesPerPosition, HostKvMemory } from './kv-memory.ts';
import { type Lane, Lanes } from './lanes.ts';
import { type KvContext, NativeKvCache } from './native-kv-cache.ts';
import { type OrtApi, ortApi, type Pointer } from './ort-api.ts';
import { OutputBuffers } from './output-buffers.ts';
import { OrtSession } from './session.ts';
import { type ElementType, hostTensor } from './tensor.ts';

/** Runs in flight of one runner; more share the same threads and hold more of libuv's pool. */
const NUM_LANES = 2;

/** Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable | runtime_unavailable. */
export async function openNativeRunner(options: RunnerOptions): Promise<ModelRunner> {
  const files = openModelFiles(options.modelDir);
  const api = ortApi();
  const provider: ExecutionProvider = { name: 'cpu', deviceId: options.deviceId, options: {} };
  const session = await OrtSession.open(api, files.graphPath, { numThreads: options.numThreads, provider });
  try {
    const graph = signatureFromGraph(session.graphInfo(), files);
    if (graph.attention !== 'group-query') {
      const message = 'past and present cannot share memory in this graph: it has no GroupQueryAttention';
      throw new EngineError('runtime_unavailable', message, { attention: graph.attention });
    }
    return new NativeRunner(session, graph, options);
  } catch (error) {
    session.close();
    throw error;
  }
}

class NativeRunner implements ModelRunner {
  readonly signature: GraphSignature;
  readonly description: RunnerDescription;
  readonly #api: OrtApi;
  readonly #session: OrtSession;
  readonly #minRows: number;
  readonly #hostInfo: Pointer;
  readonly #kv: KvContext;
  readonly #lanes: Lanes;
  readonly #outputs = new OutputBuffers();
  /** The mask of every pass is its beginning: all positions up to the last new one count. */
  readonly #ones: BigInt64Array; // [contextLength]
  #closing: Promise<void> | undefined;

  constructor(session: OrtSession, graph: GraphBinding, options: RunnerOptions) {
    const { api } = session;
    this.signature = graph.signature;
    this.#api = api;
    this.#session = session;
    this.#minRows = options.minRows;
    this.#hostInfo = api.CreateCpuMemoryInfo(0, 0);
    this.#kv = {
      session,
      graph,
      memory: new HostKvMemory(api, this.#hostInfo, graph.signature),
      numPadTokens: options.minRows - 1,
    };
    this.#lanes = new Lanes(api, NUM_LANES);
    this.#ones = new BigInt64Array(graph.signature.contextLength).fill(1n);
    this.description = {
      runtime: 'native',
      runtimeVersion: api.version,
      executionProvider: session.provider.name,
      numFallbackNodes: session.provider.name === 'cpu' ? 0 : (session.numNodesByProvider().get(CPU_PROVIDER) ?? 0),
      numThreads: options.numThreads,
    };
  }

  createCache(initialCapacity: number): KvCache {
    if (this.#closing) throw new EngineError('closed', 'the runner is closed');
    const cache = new NativeKvCache(this.#kv);
    cache.ensureCapacity(initialCapacity, 0);
    return cache;
  }

  cacheBytes(numTokens: number): number {
    const numPositions = bucketFor(numTokens + this.#kv.numPadTokens, this.signature.contextLength);
    return numPositions * bytesPerPosition(this.signature);
  }

  canBatch(numTokensPerItem: readonly number[]): boolean {
    return numTokensPerItem.length <= 1;
  }

  async forward(items: readonly ForwardItem[], signal?: AbortSignal): Promise<ForwardBatch> {
    const plans = items.map((item) => planPass(item, this.signature, this.#minRows));
    const outputs: ForwardOutput[] = [];
    const taken: Float32Array[] = [];
    const release = () => {
      for (const buffer of taken.splice(0)) this.#outputs.giveBack(buffer);
    };
    try {
      for (const plan of plans) outputs.push(await this.#forwardOne(plan, taken, signal));
      return { outputs, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async #forwardOne(plan: PassPlan, taken: Float32Array[], signal: AbortSignal | undefined): Promise<ForwardOutput> {
    if (this.#closing) throw new EngineError('closed', 'the runner is closed');
    const { cache, numPastTokens } = plan.item;
    if (!(cache instanceof NativeKvCache && cache.context === this.#kv)) {
      throw new TypeError('the cache belongs to another runner');
    }
    const binding = cache.beginPass(numPastTokens, plan.numRows);
    let numHeld = numPastTokens;
    try {
      return await this.#lanes.withLane(signal, async (lane) => {
        const rows = this.#bindStep(plan, cache, binding, lane, taken);
        await binding.run(lane.runOptions);
        numHeld = numPastTokens + plan.numRows;
        return rows();
      });
    } catch (cause) {
      if (cause instanceof EngineError) throw cause;
      if (signal?.aborted) throw new EngineError('aborted', 'the pass was aborted', {}, { cause });
      throw new EngineError('model_failed', `the pass failed: ${(cause as Error).message}`, {}, { cause });
    } finally {
      cache.endPass(numHeld);
    }
  }

  /** Binds what differs from pass to pass; returns how to read the outputs when the run is over. */
  #bindStep(
    plan: PassPlan,
    cache: NativeKvCache,
    binding: IoBinding,
    lane: Lane,
    taken: Float32Array[],
  ): () => ForwardOutput {
    const { numRows, numHeadRows, item } = plan;
    const { signature } = this;
    if (lane.tokenIds.length < numRows) lane.tokenIds = new BigInt64Array(numRows);
    writeTokenIds(plan, lane.tokenIds);
    this.#bindInput(binding, 'input_ids', lane.tokenIds, 'int64', [1, numRows]);
    if (signature.hasAttentionMask) {
      this.#bindInput(binding, 'attention_mask', this.#ones, 'int64', [1, item.numPastTokens + numRows]);
    }
    if (signature.hasPositionIds) {
      if (lane.positions.length < numRows) lane.positions = new BigInt64Array(numRows);
      for (let row = 0; row < numRows; row++) lane.positions[row] = BigInt(item.numPastTokens + row);
      this.#bindInput(binding, 'position_ids', lane.positions, 'int64', [1, numRows]);
    }
    if (signature.numLogitsToKeepInput) {
      lane.numHeadRows[0] = BigInt(numHeadRows);
      this.#bindInput(binding, signature.numLogitsToKeepInput, lane.numHeadRows, 'int64', []);
    }
    if (signature.features) {
      const { input, width } = signature.features;
      if (lane.features.length < numRows * width) lane.features = new Float32Array(numRows * width);
      writeFeatures(plan, lane.features, width);
      this.#bindInput(binding, input, lane.features, 'float32', [1, numRows, width]);
    }
    const hidden = signature.hiddenStates;
    if (hidden && !item.wantHiddenStates && binding.isOutputBound(hidden.output)) {
      binding.clearOutputs();
      cache.rebindPresent(binding);
    }
    const { headSize, logitsType } = signature;
    const readLogits = this.#bindOutput(binding, 'logits', logitsType, numHeadRows, headSize, taken);
    const readHidden =
      hidden && item.wantHiddenStates
        ? this.#bindOutput(binding, hidden.output, 'float32', numRows, hidden.width, taken)
        : undefined;
    return () => ({
      logits: readLogits(plan.firstLogitRow, item.numLogitRows),
      ...(readHidden && { hiddenStates: readHidden(0, plan.numTokens) }),
    });
  }

  #bindInput(binding: IoBinding, name: string, memory: ArrayBufferView, type: ElementType, shape: number[]): void {
    const value = hostTensor(this.#api, this.#hostInfo, memory, type, shape);
    binding.bindInput(name, value, memory);
    this.#api.ReleaseValue(value);
  }

  /** Binds [1, numRows, width] to a buffer of the pool; half precision goes through its upper half and is widened. */
  #bindOutput(
    binding: IoBinding,
    name: string,
    type: 'float32' | 'float16',
    numRows: number,
    width: number,
    taken: Float32Array[],
  ): (firstRow: number, count: number) => Float32Array {
    const buffer = this.#outputs.take(numRows * width * (type === 'float16' ? 1.5 : 1));
    taken.push(buffer);
    const raw = type === 'float16' ? new Uint16Array(buffer.buffer, 4 * numRows * width, numRows * width) : buffer;
    const value = hostTensor(this.#api, this.#hostInfo, raw, type, [1, numRows, width]);
    binding.bindOutput(name, value, raw);
    this.#api.ReleaseValue(value);
    return (firstRow, count) => {
      const rows = buffer.subarray(firstRow * width, (firstRow + count) * width);
      if (raw instanceof Uint16Array) {
        widenFloat16(raw.subarray(firstRow * width, (firstRow + count) * width), rows);
      }
      return rows;
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#lanes.close().then(() => {
      this.#session.close();
      this.#api.ReleaseMemoryInfo(this.#hostInfo);
    });
    return this.#closing;
  }
}
