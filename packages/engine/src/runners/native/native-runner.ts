/**
 * The fast runner: ONNX Runtime's C API on the library that onnxruntime-node ships. Nothing is copied but the output
 * rows, nothing blocks the event loop, and the KV cache stays where the model runs. docs/decisions/0010-native-runtime.md
 * says why, and what upstream must ship before this folder can be deleted.
 */
import { aborted, closed, modelFailed, runtimeUnavailable } from '../../errors.ts';
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
import { bucketFor } from '../kv-buckets.ts';
import { type ModelFiles, openModelFiles } from '../model-files.ts';
import { type PassPlan, padTogether, planPass } from '../pass-plan.ts';
import { type GraphBinding, signatureFromGraph } from '../signature-from-graph.ts';
import { ConcatKvCache } from './concat-kv-cache.ts';
import { CPU_PROVIDER, type ExecutionProvider, resolveProvider } from './execution-provider.ts';
import { graphFor } from './graph-source.ts';
import { bytesPerPosition, DeviceKvMemory, HostKvMemory, type KvMemory } from './kv-memory.ts';
import { KvSlab } from './kv-slab.ts';
import { type Lane, Lanes } from './lanes.ts';
import { type KvContext, NativeKvCache, type PassCache } from './native-kv-cache.ts';
import { type OrtApi, ortApi } from './ort-api.ts';
import { loadOrtLibrary } from './ort-library.ts';
import { type PassRows, PassTensors } from './pass-tensors.ts';
import { QuickRuns } from './quick-runs.ts';
import { OrtSession, openEnv } from './session.ts';

/** Runs in flight of one runner; more share the same threads and hold more of libuv's pool. */
const NUM_LANES = 2;
/** From here on the time to give memory back is lost in the pass. */
const LARGE_PASS_ROWS = 64;
/** A padded row costs about a fifth of what a pass costs that batching saves. */
const MAX_WASTED_ROWS_PER_ITEM = 4;

/** Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable | runtime_unavailable. */
export async function openNativeRunner(options: RunnerOptions): Promise<ModelRunner> {
  const library = loadOrtLibrary(options.libraryPath);
  const api = ortApi();
  const files = openModelFiles(options.modelDir);
  let env = openEnv(api); // providers log to it as soon as they are looked at
  try {
    const provider = resolveProvider(api, library.path, options);
    if (provider.name === 'cpu') {
      api.ReleaseEnv(env); // unloads a provider that was tried in vain
      env = openEnv(api);
    }
    return await openWith(provider, api, files, options);
  } finally {
    api.ReleaseEnv(env);
  }
}

async function openWith(
  provider: ExecutionProvider,
  api: OrtApi,
  files: ModelFiles,
  options: RunnerOptions,
): Promise<ModelRunner> {
  const note = (reason: string) =>
    options.onFallback?.({ wanted: 'batches of several sequences', used: 'one sequence a pass', reason });
  const source = provider.name === 'cpu' ? graphFor(files, options.maxBatchItems, note) : { files };
  const sessionOptions = { numThreads: options.numThreads, provider };
  const session = await OrtSession.open(api, source, sessionOptions);
  try {
    const graph = signatureFromGraph(session.graphInfo(), source.files);
    const { info, name } = session.memoryOfInput(graph.pastInputs[0]!);
    if (graph.attention === 'plain' && name !== 'Cpu') {
      const message = `past and present cannot share memory of ${name} in this graph: it has no GroupQueryAttention`;
      throw runtimeUnavailable(message);
    }
    const steps = new PassTensors(api, graph);
    const memory =
      name === 'Cpu'
        ? new HostKvMemory(api, steps.hostInfo, graph)
        : await DeviceKvMemory.open(session, info, sessionOptions, steps.hostInfo, graph);
    return new NativeRunner(session, graph, memory, steps, { ...options, kvMemory: name });
  } catch (error) {
    session.close();
    throw error;
  }
}

class NativeRunner implements ModelRunner {
  readonly signature: GraphSignature;
  readonly description: RunnerDescription;
  readonly #session: OrtSession;
  readonly #minRows: number;
  readonly #maxBatchItems: number;
  readonly #steps: PassTensors;
  readonly #kv: KvContext;
  readonly #slab: KvSlab;
  readonly #lanes: Lanes;
  /** A device's time is not this thread's. */
  readonly #quickRuns: QuickRuns | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    session: OrtSession,
    graph: GraphBinding,
    memory: KvMemory,
    steps: PassTensors,
    options: RunnerOptions & { kvMemory: string },
  ) {
    const { api } = session;
    this.signature = graph.signature;
    this.#session = session;
    this.#minRows = options.minRows;
    this.#maxBatchItems = graph.attention === 'tensor-scatter' ? options.maxBatchItems : 1;
    this.#steps = steps;
    this.#kv = {
      session,
      graph,
      memory,
      numPadTokens: options.minRows - 1,
    };
    this.#slab = new KvSlab(this.#kv, this.#maxBatchItems);
    // Devices run one pass at a time, and the slab's seats must not move during a pass.
    const numLanes = options.kvMemory !== 'Cpu' || this.#maxBatchItems > 1 ? 1 : NUM_LANES;
    this.#lanes = new Lanes(api, numLanes, this.#maxBatchItems);
    this.#quickRuns = session.provider.name === 'cpu' ? new QuickRuns() : undefined;
    const fallback = session.provider.name === 'cpu' ? [] : (session.operatorsByProvider().get(CPU_PROVIDER) ?? []);
    if (fallback.length > 0)
      options.log?.('info', 'some operators run on the CPU', { operators: [...new Set(fallback)] });
    this.description = {
      runtime: 'native',
      runtimeVersion: api.version,
      executionProvider: session.provider.name,
      numFallbackNodes: fallback.length,
      numThreads: options.numThreads,
      kvMemory: options.kvMemory,
    };
  }

  createCache(initialCapacity: number): KvCache {
    if (this.#closing) throw closed('the runner is closed');
    const { graph, memory } = this.#kv;
    const isPlain = graph.attention === 'plain' && memory instanceof HostKvMemory;
    const cache = isPlain ? new ConcatKvCache(this.#kv, memory) : new NativeKvCache(this.#kv);
    cache.ensureCapacity(initialCapacity, 0);
    return cache;
  }

  cacheBytes(numTokens: number): number {
    const numPositions = bucketFor(numTokens + this.#kv.numPadTokens, this.signature.contextLength);
    const numBlocks = this.#kv.graph.attention === 'plain' ? 2 : 1;
    return numBlocks * numPositions * bytesPerPosition(this.signature);
  }

  canBatch(numTokensPerItem: readonly number[]): boolean {
    const count = numTokensPerItem.length;
    if (count <= 1) return true;
    const numWasted = numTokensPerItem.reduce((sum, n) => sum - n, count * Math.max(...numTokensPerItem));
    return count <= this.#maxBatchItems && numWasted <= MAX_WASTED_ROWS_PER_ITEM * (count - 1);
  }

  async forward(items: readonly ForwardItem[], signal?: AbortSignal): Promise<ForwardBatch> {
    if (this.#closing) throw closed('the runner is closed');
    const plans = items.map((item) => planPass(item, this.signature, this.#minRows));
    const outputs: ForwardOutput[] = [];
    const taken: Float32Array[] = [];
    const release = () => this.#steps.giveBack(taken.splice(0));
    try {
      for (const group of this.#groups(plans)) outputs.push(...(await this.#pass(group, taken, signal)));
      return { outputs, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** One group for a batch, one for each pass where they cannot go together (the end of the context is near, too many). */
  #groups(plans: readonly PassPlan[]): (readonly PassPlan[])[] {
    const numRows = Math.max(...plans.map((plan) => plan.numRows)) + 1;
    const fits = plans.every(({ item }) => item.numPastTokens + numRows <= this.signature.contextLength);
    if (plans.length > 1 && plans.length <= this.#maxBatchItems && fits) return [plans];
    return plans.map((plan) => [plan]);
  }

  async #pass(plans: readonly PassPlan[], taken: Float32Array[], signal?: AbortSignal): Promise<ForwardOutput[]> {
    const begun: [PassCache, numHeld: number][] = [];
    try {
      const caches = plans.map(({ item }) => {
        const { numPastTokens } = item;
        const cache = item.cache as PassCache;
        if (cache.context !== this.#kv) {
          throw new TypeError('the cache belongs to another runner');
        }
        cache.beginPass(numPastTokens);
        begun.push([cache, numPastTokens]);
        return cache;
      });
      return await this.#lanes.withLane(signal, async (lane) => {
        const read = await this.#run(plans, caches, lane, taken, signal);
        for (const [i, entry] of begun.entries()) entry[1] += plans[i]!.numTokens;
        return read();
      });
    } finally {
      for (const [cache, numHeld] of begun) cache.endPass(numHeld);
    }
  }

  async #run(
    plans: readonly PassPlan[],
    caches: readonly PassCache[],
    lane: Lane,
    taken: Float32Array[],
    signal: AbortSignal | undefined,
  ): Promise<() => ForwardOutput[]> {
    const { binding, rows, order } = this.#arrange(plans, caches);
    const read = this.#steps.bind(binding, lane, rows, taken);
    try {
      const numRows = rows.length * plans[0]!.numRows;
      const runOptions = numRows > LARGE_PASS_ROWS ? lane.largeRunOptions : lane.runOptions;
      await (this.#quickRuns ? this.#quickRuns.run(binding, runOptions, numRows) : binding.run(runOptions));
    } catch (cause) {
      if (signal?.aborted) throw aborted('the pass was aborted', cause);
      throw modelFailed(cause as Error);
    }
    return () => {
      const outputs = read();
      return order.map((row) => outputs[row]!);
    };
  }

  /** Puts the sequences where the graph can reach them; `order` says in which row of the tensor each plan went. */
  #arrange(plans: readonly PassPlan[], all: readonly PassCache[]) {
    const [plan] = plans as [PassPlan];
    if (plans.length === 1) {
      const binding = all[0]!.bindAlone(plan.item.numPastTokens, plan.numRows);
      return { binding, rows: [{ plan, numHeld: plan.item.numPastTokens }], order: [0] };
    }
    const caches = all as readonly NativeKvCache[]; // graphs with other caches are not batched
    const numRows = Math.max(...plans.map((each) => each.numRows)) + 1;
    const needed = plans.map(({ item }) => item.numPastTokens + numRows);
    const { binding, seated } = this.#slab.bindSeats(caches, needed, numRows);
    const padded = padTogether(plans, seated.length, this.signature, this.#minRows);
    const rows = seated.map((cache): PassRows => {
      const index = cache ? caches.indexOf(cache) : -1;
      if (index < 0) return { numHeld: cache?.numHeld ?? 0 };
      return { plan: padded[index]!, numHeld: padded[index]!.item.numPastTokens };
    });
    return { binding, rows, order: caches.map((cache) => seated.indexOf(cache)) };
  }

  close(): Promise<void> {
    this.#closing ??= this.#lanes.close().then(() => {
      this.#slab.release();
      this.#kv.memory.close();
      this.#session.close();
      this.#steps.close();
    });
    return this.#closing;
  }
}
