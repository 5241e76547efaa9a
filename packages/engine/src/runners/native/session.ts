/**
 * One loaded model: options in, metadata and bindings out. Weights are in memory once, however many bindings there are,
 * and runs of different bindings may overlap. Knows no KV cache and no tokens.
 */
import koffi from 'koffi';
import { providerUnavailable } from '../../errors.ts';
import { loadError } from '../model-files.ts';
import type { GraphInfo, TensorInfo } from '../signature-from-graph.ts';
import { THREADING_OPTIONS } from '../threading.ts';
import { appendProvider, type ExecutionProvider, isDeviceFailure } from './execution-provider.ts';
import type { OrtApi, Pointer } from './ort-api.ts';
import type { SharedWeights } from './shared-weights.ts';
import { addressOf, elementTypeName } from './tensor.ts';

export interface SessionOptions {
  readonly numThreads: number;
  readonly provider: ExecutionProvider;
}

/** A graph in memory. */
export interface GraphInMemory {
  readonly bytes: Uint8Array;
  /** Where files lie that the graph names. */
  readonly weightsDir?: string;
  /** What errors name. */
  readonly path?: string;
  /** What it has in common with other sessions; must outlive this one. */
  readonly weights?: SharedWeights | undefined;
}

const ENABLE_ALL = 99;
/** Errors come back as statuses; ONNX Runtime would write them to stderr as well. */
const LOG_FATAL_ONLY = 4;

/**
 * A reference to the process's environment, for ReleaseEnv. The last release unloads the providers; the CUDA provider
 * crashes the process at its exit when it is still loaded then (seen where it had found no device).
 */
export function openEnv(api: OrtApi): Pointer {
  return api.CreateEnv(LOG_FATAL_ONLY, 'forerunner');
}

export class OrtSession {
  readonly api: OrtApi;
  readonly pointer: Pointer;
  readonly provider: ExecutionProvider;
  readonly #env: Pointer;
  #closed = false;

  private constructor(api: OrtApi, env: Pointer, pointer: Pointer, provider: ExecutionProvider) {
    this.api = api;
    this.#env = env;
    this.pointer = pointer;
    this.provider = provider;
  }

  /** Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable. */
  static openBytes(api: OrtApi, graph: GraphInMemory, options: SessionOptions): Promise<OrtSession> {
    const { bytes, weightsDir, path = 'a graph in memory', weights } = graph;
    return OrtSession.#create(api, options, path, (env, sessionOptions) => {
      if (weightsDir) {
        api.AddSessionConfigEntry(sessionOptions, 'session.model_external_initializers_file_folder_path', weightsDir);
      }
      const address = addressOf(bytes);
      if (!weights) return api.async.CreateSessionFromArray(env, address, bytes.length, sessionOptions);
      for (const [name, value] of weights.values) api.AddInitializer(sessionOptions, name, value);
      const { prepacked } = weights;
      const { CreateSessionFromArrayWithPrepackedWeightsContainer: create } = api.async;
      return create(env, address, bytes.length, sessionOptions, prepacked);
    });
  }

  static async #create(
    api: OrtApi,
    options: SessionOptions,
    graphPath: string,
    create: (env: Pointer, sessionOptions: Pointer) => Promise<Pointer>,
  ): Promise<OrtSession> {
    const env = openEnv(api);
    return withSessionOptions(api, options, async (sessionOptions) => {
      try {
        return new OrtSession(api, env, await create(env, sessionOptions), options.provider);
      } catch (cause) {
        const reason = (cause as Error).message;
        if (options.provider.name !== 'cpu' && isDeviceFailure(reason))
          throw providerUnavailable(options.provider.name, reason, cause);
        throw loadError(graphPath, cause as Error);
      }
    }).catch((error: unknown) => {
      api.ReleaseEnv(env);
      throw error;
    });
  }

  /** Input and output names, types and shapes. */
  graphInfo(): GraphInfo {
    const { api, pointer } = this;
    const list = (side: 'Input' | 'Output'): TensorInfo[] =>
      Array.from({ length: api[`SessionGet${side}Count`](pointer) }, (_, index) => ({
        name: takeText(api, api[`SessionGet${side}Name`](pointer, index, api.GetAllocatorWithDefaultOptions())),
        ...typeAndShape(api, api[`SessionGet${side}TypeInfo`](pointer, index)),
      }));
    return { inputs: list('Input'), outputs: list('Output') };
  }

  /** Operators by execution provider, one entry a node, after the graph was optimised and divided. */
  operatorsByProvider(): Map<string, string[]> {
    const { api } = this;
    const operators = new Map<string, string[]>();
    for (const subgraph of pointers(api.Session_GetEpGraphAssignmentInfo(this.pointer))) {
      const provider = api.EpAssignedSubgraph_GetEpName(subgraph);
      const nodes = pointers(api.EpAssignedSubgraph_GetNodes(subgraph)).map(api.EpAssignedNode_GetOperatorType);
      operators.set(provider, [...(operators.get(provider) ?? []), ...nodes]);
    }
    return operators;
  }

  /** Where the graph wants an input to be: memory information that belongs to the session, and its name ('Cpu', 'Cuda', ...). */
  memoryOfInput(name: string): { info: Pointer; name: string } {
    const { inputs } = this.graphInfo();
    const infos = new BigUint64Array(inputs.length);
    this.api.SessionGetMemoryInfoForInputs(this.pointer, infos, infos.length);
    const info = infos[inputs.findIndex((input) => input.name === name)]!;
    return { info, name: this.api.MemoryInfoGetName(info) };
  }

  /** Only when no run is under way and every binding is released: the runner sees to that. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.api.ReleaseSession(this.pointer);
    this.api.ReleaseEnv(this.#env);
  }
}

/** A C array of pointers and its length. */
function pointers([array, length]: [Pointer, number]): Pointer[] {
  return length === 0 ? [] : (koffi.decode(array, koffi.array('void *', length)) as Pointer[]);
}

async function withSessionOptions<T>(
  api: OrtApi,
  { numThreads, provider }: SessionOptions,
  use: (options: Pointer) => Promise<T>,
): Promise<T> {
  const options = api.CreateSessionOptions();
  try {
    api.SetSessionGraphOptimizationLevel(options, ENABLE_ALL);
    api.SetIntraOpNumThreads(options, numThreads);
    api.SetInterOpNumThreads(options, 1);
    for (const [name, value] of Object.entries(THREADING_OPTIONS)) api.AddSessionConfigEntry(options, name, value);
    api.AddSessionConfigEntry(options, 'session.record_ep_graph_assignment_info', '1');
    // Plans memory once for every new set of input shapes and keeps the plan for ever; the mask grows with every token.
    api.DisableMemPattern(options);
    appendProvider(api, options, provider);
    return await use(options);
  } finally {
    api.ReleaseSessionOptions(options);
  }
}

function typeAndShape(api: OrtApi, typeInfo: Pointer): { type: string; shape: (number | string)[] } {
  try {
    const tensor = api.CastTypeInfoToTensorInfo(typeInfo);
    if (!tensor) return { type: 'not a tensor', shape: [] };
    const sizes = new BigInt64Array(Math.max(1, api.GetDimensionsCount(tensor)));
    const rank = api.GetDimensionsCount(tensor);
    api.GetDimensions(tensor, sizes, rank);
    return {
      type: elementTypeName(api.GetTensorElementType(tensor)),
      shape: Array.from(sizes.subarray(0, rank), sizeOrSymbol),
    };
  } finally {
    api.ReleaseTypeInfo(typeInfo);
  }
}

const sizeOrSymbol = (size: bigint): number | string => (size < 0n ? 'symbolic' : Number(size));

/** Reads a C string that ONNX Runtime allocated for us, and frees it. */
function takeText(api: OrtApi, text: Pointer): string {
  const value = koffi.decode(text, 'char', -1) as string;
  api.AllocatorFree(api.GetAllocatorWithDefaultOptions(), text);
  return value;
}
