/**
 * The portable runner: onnxruntime-node's public API and nothing else. session.run() blocks the thread and copies every
 * output, so graphs with GroupQueryAttention are rewritten on loading to answer with the new rows of K and V only; a
 * step then costs more as the context grows, but not by much. Host it in a worker thread, and never terminate that
 * worker during a pass (it aborts the process).
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { newRowsOnly } from '@forerunner/onnx-graph';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { aborted, closed, modelFailed, providerUnavailable } from '../../errors.ts';
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
import { bucketFor, bytesPerPosition } from '../kv-buckets.ts';
import { graphAsLoaded } from '../loaded-graph.ts';
import { loadError, type ModelFiles, openModelFiles } from '../model-files.ts';
import { type PassPlan, planPass, writeHiddenStates, writeTokenIds } from '../pass-plan.ts';
import { type GraphInfo, signatureFromGraph } from '../signature-from-graph.ts';
import { THREADING_OPTIONS } from '../threading.ts';
import { floatTensor, NodeKvCache, type NodeKvContext } from './node-kv-cache.ts';

/** Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable. */
export async function openNodeRunner(options: RunnerOptions): Promise<ModelRunner> {
  if (options.executionProvider !== 'cpu' && options.executionProvider !== 'auto') {
    throw providerUnavailable(options.executionProvider, 'the node runtime runs on the CPU only, use RUNTIME=native');
  }
  const files = openModelFiles(options.modelDir);
  if (options.maxBatchItems > 1) {
    const reason = 'onnxruntime-node runs graphs that take one sequence';
    options.onFallback?.({ wanted: 'batches of several sequences', used: 'one sequence a pass', reason });
  }
  const newRows = files.attention === 'group-query';
  const session = await createSession(files, newRows, options);
  try {
    const graph = signatureFromGraph(graphInfo(session), files);
    return new NodeRunner(
      session,
      { graph, newRowsOnly: newRows, numPadTokens: options.minRows - 1, contextLength: graph.signature.contextLength },
      options,
    );
  } catch (error) {
    await session.release();
    throw error;
  }
}

async function createSession(
  { graphPath }: ModelFiles,
  newRows: boolean,
  { numThreads, log }: RunnerOptions,
): Promise<InferenceSession> {
  const options: InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    intraOpNumThreads: numThreads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    extra: { ...THREADING_OPTIONS, 'session.model_external_initializers_file_folder_path': dirname(graphPath) },
  };
  const bytes = graphAsLoaded(readFileSync(graphPath), log);
  try {
    return await InferenceSession.create(newRows ? newRowsOnly(bytes) : bytes, options);
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
  readonly maxSequences = 1;
  readonly signature: GraphSignature;
  readonly description: RunnerDescription;
  readonly #session: InferenceSession;
  readonly #kv: NodeKvContext;
  readonly #minRows: number;
  /** Resolves when the passes so far are through: session.run() defers to the event loop before it blocks it. */
  #lastPass: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(session: InferenceSession, kv: NodeKvContext, options: RunnerOptions) {
    this.#session = session;
    this.#kv = kv;
    this.#minRows = options.minRows;
    this.signature = kv.graph.signature;
    this.description = {
      runtime: 'node',
      runtimeVersion: env.versions.node ?? 'unknown',
      executionProvider: 'cpu',
      numFallbackNodes: 0,
      numThreads: options.numThreads,
    };
  }

  createCache(initialCapacity: number): KvCache {
    if (this.#closed) throw closed('the runner is closed');
    const cache = new NodeKvCache(this.#kv);
    cache.ensureCapacity(initialCapacity, 0);
    return cache;
  }

  cacheBytes(numTokens: number): number {
    return (
      bucketFor(numTokens + this.#kv.numPadTokens, this.signature.contextLength) * bytesPerPosition(this.signature)
    );
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
    if (this.#closed) throw closed('the runner is closed');
    if (signal?.aborted) throw aborted('the pass was aborted before it started');
    const { cache, numPastTokens, numLogitRows, wantHiddenStates } = plan.item;
    if (!(cache instanceof NodeKvCache && cache.context === this.#kv)) {
      throw new TypeError('the cache belongs to another runner');
    }
    const { presentOutputs } = this.#kv.graph;
    const hidden = wantHiddenStates ? this.signature.hiddenStatesOutput : undefined;
    const fetches = [...presentOutputs];
    if (numLogitRows > 0) fetches.push('logits');
    if (hidden) fetches.push(hidden.output);
    const past = cache.beginPass(numPastTokens, plan.numRows);
    let present: Tensor[] | undefined;
    try {
      const results = await this.#session.run(this.#feeds(plan, past), fetches);
      present = presentOutputs.map((name) => results[name] as Tensor);
      const from = plan.firstLogitRow * this.signature.headSize;
      const length = numLogitRows * this.signature.headSize;
      return {
        logits: numLogitRows > 0 ? floats(results.logits as Tensor, from, length) : new Float32Array(0),
        ...(hidden && { hiddenStates: floats(results[hidden.output] as Tensor, 0, plan.numTokens * hidden.width) }),
      };
    } catch (cause) {
      throw modelFailed(cause as Error);
    } finally {
      cache.endPass(present, numPastTokens, plan.numRows);
    }
  }

  #feeds(plan: PassPlan, past: readonly Tensor[]): Record<string, Tensor> {
    const { numRows } = plan;
    const { numPastTokens } = plan.item;
    const { signature, pastInputs } = this.#kv.graph;
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
    if (signature.hiddenStatesInput) {
      const { input, width } = signature.hiddenStatesInput;
      const hiddenStates = new Float32Array(numRows * width);
      writeHiddenStates(plan, hiddenStates, width);
      feeds[input] = floatTensor(hiddenStates, this.#kv.graph.hiddenStatesInputType, [1, numRows, width]);
    }
    for (const [i, tensor] of past.entries()) feeds[pastInputs[i]!] = tensor;
    return feeds;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#lastPass;
    await this.#session.release();
  }
}

function floats(tensor: Tensor, from: number, length: number): Float32Array {
  if (tensor.type === 'float32') return (tensor.data as Float32Array).subarray(from, from + length);
  const half = tensor.data as unknown as Float16Array;
  const wide = new Float32Array(length);
  widenFloat16(new Uint16Array(half.buffer, half.byteOffset + 2 * from, length), wide);
  return wide;
}
