/**
 * A model made ready for passes: the execution provider chosen, graphs rewritten and loaded, memory for caches opened.
 * Knows how the parts depend on each other; runs nothing.
 */

import { FLAT_BATCH } from '@forerunner/onnx-graph';
import { runtimeUnavailable } from '../../errors.ts';
import type { RunnerDescription, RunnerOptions } from '../../runner.ts';
import type { GraphSignature } from '../../signature.ts';
import { type ModelFiles, openModelFiles } from '../model-files.ts';
import { type GraphBinding, signatureFromGraph } from '../signature-from-graph.ts';
import { CPU_PROVIDER, cpuInsteadOf, type ExecutionProvider, resolveProvider } from './execution-provider.ts';
import { FlatGraph } from './flat-graph.ts';
import { planGpuMemory } from './gpu-memory.ts';
import { type FlatGraphSource, flatGraphSource, originalInfo, singleGraphSource, weightBytes } from './graph-source.ts';
import { DeviceKvMemory, HostKvMemory, type KvMemory } from './kv-memory.ts';
import { type OrtApi, ortApi, type Pointer } from './ort-api.ts';
import { loadOrtLibrary } from './ort-library.ts';
import { OutputBuffers } from './output-rows.ts';
import type { PassGraph } from './pass-graph.ts';
import { OrtSession, openEnv, type SessionOptions } from './session.ts';
import { SharedWeights } from './shared-weights.ts';
import { SingleGraph } from './single-graph.ts';

export interface LoadedModel {
  readonly api: OrtApi;
  readonly signature: GraphSignature;
  readonly attention: GraphBinding['attention'];
  readonly description: RunnerDescription;
  /** Smallest first. */
  readonly graphs: readonly PassGraph[];
  readonly memory: KvMemory;
  readonly buffers: OutputBuffers;
  /** When no pass is under way. */
  close(): void;
}

/**
 * `resolve` is another way to choose the provider, in tests.
 * Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable | runtime_unavailable |
 * out_of_memory.
 */
export async function loadModel(options: RunnerOptions, resolve = resolveProvider): Promise<LoadedModel> {
  const library = loadOrtLibrary(options.libraryPath);
  const api = ortApi();
  const files = openModelFiles(options.modelDir);
  const load = (provider: ExecutionProvider) => new ModelLoader(api, files, provider, options).load();
  let env = openEnv(api); // providers log to it as soon as they are looked at
  try {
    let provider = resolve(api, library.path, options);
    if (provider.name !== 'cpu') {
      try {
        return await load(provider);
      } catch (error) {
        provider = cpuInsteadOf(error, options); // a provider may find out here that there is no device
      }
    }
    api.ReleaseEnv(env); // unloads a provider that was tried and could not be used
    env = openEnv(api);
    return await load(provider);
  } finally {
    api.ReleaseEnv(env);
  }
}

/** Sequences a pass of each graph: a graph that is too large for a pass costs idle slots, each further one memory. */
function slotCounts(maxSequences: number, isDevice: boolean): number[] {
  if (isDevice) return [...new Set([1, maxSequences])]; // each holds weights of its own there
  const counts: number[] = [];
  for (let count = 1; count < maxSequences; count *= 2) counts.push(count);
  return [...counts, maxSequences];
}

class ModelLoader {
  readonly #api: OrtApi;
  readonly #files: ModelFiles;
  readonly #sessionOptions: SessionOptions;
  readonly #options: RunnerOptions;
  readonly #hostInfo: Pointer;
  readonly #buffers = new OutputBuffers();
  /** What is open, last first. */
  readonly #closers: (() => void)[] = [];

  constructor(api: OrtApi, files: ModelFiles, provider: ExecutionProvider, options: RunnerOptions) {
    this.#api = api;
    this.#files = files;
    this.#options = options;
    this.#sessionOptions = { numThreads: options.numThreads, provider };
    this.#hostInfo = api.CreateCpuMemoryInfo(0, 0);
    this.#closers.push(() => api.ReleaseMemoryInfo(this.#hostInfo));
  }

  async load(): Promise<LoadedModel> {
    try {
      const source = flatGraphSource(this.#files);
      if (!('whyNot' in source)) return await this.#loadFlat(source);
      const model = await this.#loadSingle();
      this.#noteTurns(source.whyNot);
      return model;
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  async #loadFlat(source: FlatGraphSource): Promise<LoadedModel> {
    const isDevice = this.#sessionOptions.provider.name !== 'cpu';
    const maxSlots = this.#roomFor(this.#options.maxBatchItems);
    const weights = isDevice ? undefined : this.#shareWeights(source);
    const open = async (numSlots: number) => {
      const session = await OrtSession.openBytes(
        this.#api,
        { ...source.graph(numSlots), weights },
        this.#sessionOptions,
      );
      this.#closers.unshift(() => session.close());
      return session;
    };
    const first = await open(1);
    const graph = signatureFromGraph(originalInfo(first.graphInfo()), this.#files);
    const cacheInput = FLAT_BATCH.slot(0).cache(graph.pastInputs[0]!);
    const { memory, kvMemory } = await this.#openMemory(first, graph, cacheInput);
    const graphs: PassGraph[] = [];
    for (const numSlots of slotCounts(maxSlots, isDevice)) {
      const session = numSlots === 1 ? first : await open(numSlots).catch(this.#withoutBatches(isDevice));
      if (!session) break;
      const { minRows } = this.#options;
      const shared = { graph, minRows, memory, hostInfo: this.#hostInfo, buffers: this.#buffers };
      graphs.push(this.#closing(new FlatGraph({ session, numSlots, ...shared })));
    }
    weights?.forgetPages();
    return this.#loaded(first, graph, graphs, memory, kvMemory);
  }

  /**
   * Sequences a pass that a GPU has room for, by what its driver says: a second graph needs the weights a second time.
   * Errors: EngineError out_of_memory.
   */
  #roomFor(maxSequences: number): number {
    const { gpu } = this.#sessionOptions.provider;
    const { kvBudgetBytes, log } = this.#options;
    if (!gpu || kvBudgetBytes === undefined) return maxSequences;
    const numGraphs = maxSequences > 1 ? 2 : 1;
    const plan = planGpuMemory(gpu, { weightBytes: weightBytes(this.#files), kvBudgetBytes, numGraphs });
    log?.('info', 'memory of the GPU', { plan: plan.summary });
    if (plan.numGraphs === numGraphs) return maxSequences;
    this.#noteTurns(`batches need the weights a second time, and there is room for ${plan.summary}`);
    return 1;
  }

  /** A device may have no room for the weights a second time: then sequences take turns. */
  #withoutBatches(isDevice: boolean): (error: Error) => undefined {
    return (error) => {
      if (!isDevice) throw error;
      this.#noteTurns(error.message);
    };
  }

  #noteTurns(reason: string): void {
    if (this.#options.maxBatchItems === 1) return;
    this.#options.onFallback?.({ wanted: 'batches of several sequences', used: 'one sequence a pass', reason });
  }

  async #loadSingle(): Promise<LoadedModel> {
    this.#roomFor(1);
    const session = await OrtSession.openBytes(
      this.#api,
      singleGraphSource(this.#files, this.#options.log),
      this.#sessionOptions,
    );
    this.#closers.unshift(() => session.close());
    const graph = signatureFromGraph(session.graphInfo(), this.#files);
    const { memory, kvMemory } = await this.#openMemory(session, graph, graph.pastInputs[0]!);
    const single = this.#closing(new SingleGraph(session, graph, this.#hostInfo, this.#buffers));
    return this.#loaded(session, graph, [single], memory, kvMemory);
  }

  #shareWeights({ externalTensors, weightsDir }: FlatGraphSource): SharedWeights | undefined {
    try {
      const weights = new SharedWeights(this.#api, this.#hostInfo, externalTensors, weightsDir);
      this.#closers.unshift(() => weights.close());
      return weights;
    } catch {
      return undefined; // ONNX Runtime looks for the same files and says what is wrong with them
    }
  }

  async #openMemory(session: OrtSession, graph: GraphBinding, cacheInput: string) {
    const { info, name } = session.memoryOfInput(cacheInput);
    if (graph.attention === 'plain' && name !== 'Cpu') {
      const message = `past and present cannot share memory of ${name} in this graph: it has no GroupQueryAttention`;
      throw runtimeUnavailable(message);
    }
    const { signature } = graph;
    const memory =
      name === 'Cpu'
        ? new HostKvMemory(this.#api, this.#hostInfo, signature)
        : await DeviceKvMemory.open(session, info, this.#sessionOptions, this.#hostInfo, signature);
    this.#closers.unshift(() => memory.close());
    return { memory, kvMemory: name };
  }

  #loaded(
    session: OrtSession,
    graph: GraphBinding,
    graphs: readonly PassGraph[],
    memory: KvMemory,
    kvMemory: string,
  ): LoadedModel {
    const { provider, numThreads } = this.#sessionOptions;
    const fallback = provider.name === 'cpu' ? [] : (session.operatorsByProvider().get(CPU_PROVIDER) ?? []);
    if (fallback.length > 0) {
      this.#options.log?.('info', 'some operators run on the CPU', { operators: [...new Set(fallback)] });
    }
    return {
      api: this.#api,
      signature: graph.signature,
      attention: graph.attention,
      description: {
        runtime: 'native',
        runtimeVersion: this.#api.version,
        executionProvider: provider.name,
        numFallbackNodes: fallback.length,
        numThreads,
        kvMemory,
      },
      graphs,
      memory,
      buffers: this.#buffers,
      close: () => this.#close(),
    };
  }

  #closing(graph: PassGraph): PassGraph {
    this.#closers.unshift(() => graph.close());
    return graph;
  }

  #close(): void {
    for (const close of this.#closers.splice(0)) close();
  }
}
