/**
 * ONNX Runtime's C API as typed functions. OrtGetApiBase is the library's only symbol; all else are function pointers in
 * the append-only struct OrtApi, so a call is a slot number and a signature: a wrong one fails silently or crashes. The
 * slots here are compared with the header's member list in test/runners/native. Knows no sessions, tensors or models.
 */
import koffi, { type KoffiFunc, type LibraryHandle } from 'koffi';
import { runtimeUnavailable } from '../../errors.ts';
import { loadOrtLibrary } from './ort-library.ts';

/** The address of an Ort object; 0n never stands for one. */
export type Pointer = bigint;

/** How an argument crosses: in as pointer, int, size_t or text; or out, which becomes a result of the call. */
type Kind = 'pointer' | 'int' | 'size' | 'text' | 'path' | 'outPointer' | 'outInt' | 'outSize' | 'outText';
type Returns = 'status' | 'void' | 'int' | 'text';

interface Entry {
  readonly slot: number;
  readonly returns: Returns;
  readonly kinds: readonly Kind[];
}

const status = <const K extends readonly Kind[]>(slot: number, ...kinds: K) =>
  ({ slot, returns: 'status', kinds }) as const;
const release = (slot: number) => ({ slot, returns: 'void', kinds: ['pointer'] }) as const;

export const ortFunctions = {
  CreateStatus: { slot: 0, returns: 'pointer', kinds: ['int', 'text'] },
  GetErrorCode: { slot: 1, returns: 'int', kinds: ['pointer'] },
  GetErrorMessage: { slot: 2, returns: 'text', kinds: ['pointer'] },
  ReleaseStatus: release(93),

  CreateEnv: status(3, 'int', 'text', 'outPointer'),
  ReleaseEnv: release(92),
  GetAllocatorWithDefaultOptions: status(78, 'outPointer'),
  AllocatorFree: status(76, 'pointer', 'pointer'),

  CreateSessionOptions: status(10, 'outPointer'),
  EnableProfiling: status(14, 'pointer', 'path'),
  DisableMemPattern: status(17, 'pointer'),
  SetSessionGraphOptimizationLevel: status(23, 'pointer', 'int'),
  SetIntraOpNumThreads: status(24, 'pointer', 'int'),
  SetInterOpNumThreads: status(25, 'pointer', 'int'),
  AddSessionConfigEntry: status(130, 'pointer', 'text', 'text'),
  ReleaseSessionOptions: release(100),
  CreateCUDAProviderOptions: status(205, 'outPointer'),
  UpdateCUDAProviderOptions: status(206, 'pointer', 'pointer', 'pointer', 'size'),
  SessionOptionsAppendExecutionProvider_CUDA_V2: status(204, 'pointer', 'pointer'),
  ReleaseCUDAProviderOptions: release(208),
  SessionOptionsAppendExecutionProvider: status(216, 'pointer', 'text', 'pointer', 'pointer', 'size'),

  AddInitializer: status(150, 'pointer', 'text', 'pointer'),
  CreatePrepackedWeightsContainer: status(166, 'outPointer'),
  ReleasePrepackedWeightsContainer: release(167),
  CreateSession: status(7, 'pointer', 'path', 'pointer', 'outPointer'),
  CreateSessionFromArray: status(8, 'pointer', 'pointer', 'size', 'pointer', 'outPointer'),
  CreateSessionFromArrayWithPrepackedWeightsContainer: status(
    169,
    'pointer',
    'pointer',
    'size',
    'pointer',
    'pointer',
    'outPointer',
  ),
  SessionGetMemoryInfoForInputs: status(380, 'pointer', 'pointer', 'size'),
  ReleaseSession: release(95),
  SessionGetInputCount: status(30, 'pointer', 'outSize'),
  SessionGetOutputCount: status(31, 'pointer', 'outSize'),
  SessionGetInputTypeInfo: status(33, 'pointer', 'size', 'outPointer'),
  SessionGetOutputTypeInfo: status(34, 'pointer', 'size', 'outPointer'),
  SessionGetInputName: status(36, 'pointer', 'size', 'pointer', 'outPointer'),
  SessionGetOutputName: status(37, 'pointer', 'size', 'pointer', 'outPointer'),
  CastTypeInfoToTensorInfo: status(55, 'pointer', 'outPointer'),
  GetTensorElementType: status(60, 'pointer', 'outInt'),
  GetDimensionsCount: status(61, 'pointer', 'outSize'),
  GetDimensions: status(62, 'pointer', 'pointer', 'size'),
  ReleaseTypeInfo: release(98),
  Session_GetEpGraphAssignmentInfo: status(407, 'pointer', 'outPointer', 'outSize'),
  EpAssignedSubgraph_GetEpName: status(408, 'pointer', 'outText'),
  EpAssignedSubgraph_GetNodes: status(409, 'pointer', 'outPointer', 'outSize'),
  EpAssignedNode_GetOperatorType: status(412, 'pointer', 'outText'),

  CreateCpuMemoryInfo: status(69, 'int', 'int', 'outPointer'),
  CreateMemoryInfo: status(68, 'text', 'int', 'int', 'int', 'outPointer'),
  MemoryInfoGetName: status(71, 'pointer', 'outText'),
  ReleaseMemoryInfo: release(94),
  CreateAllocator: status(131, 'pointer', 'pointer', 'outPointer'),
  ReleaseAllocator: release(132),
  CreateTensorWithDataAsOrtValue: status(49, 'pointer', 'pointer', 'size', 'pointer', 'size', 'int', 'outPointer'),
  CreateTensorAsOrtValue: status(48, 'pointer', 'pointer', 'size', 'int', 'outPointer'),
  GetTensorMemoryInfo: status(194, 'pointer', 'outPointer'),
  GetTensorSizeInBytes: status(318, 'pointer', 'outSize'),
  ReleaseValue: release(96),

  CreateRunOptions: status(39, 'outPointer'),
  AddRunConfigEntry: status(165, 'pointer', 'text', 'text'),
  RunOptionsSetTerminate: status(46, 'pointer'),
  RunOptionsUnsetTerminate: status(47, 'pointer'),
  ReleaseRunOptions: release(97),
  Run: status(9, 'pointer', 'pointer', 'pointer', 'pointer', 'size', 'pointer', 'size', 'pointer'),
} as const satisfies Record<string, Omit<Entry, 'returns'> & { returns: Returns | 'pointer' }>;

/** What ONNX Runtime answers when it refuses or fails. */
export class OrtError extends Error {
  override readonly name = 'OrtError';
  /** OrtErrorCode: 1 fail, 2 invalid argument, 3 no such file, ... */
  readonly ortCode: number;

  constructor(ortCode: number, message: string) {
    super(message);
    this.ortCode = ortCode;
  }
}

type Functions = typeof ortFunctions;
type InputOf = { pointer: Pointer | ArrayBufferView | null; int: number; size: number; text: string; path: string };
type OutputOf = { outPointer: Pointer; outInt: number; outSize: number; outText: string };
type Inputs<K extends readonly Kind[]> = K extends readonly [infer Head, ...infer Rest extends readonly Kind[]]
  ? Head extends keyof InputOf
    ? [InputOf[Head], ...Inputs<Rest>]
    : Inputs<Rest>
  : [];
type Outputs<K extends readonly Kind[]> = K extends readonly [infer Head, ...infer Rest extends readonly Kind[]]
  ? Head extends keyof OutputOf
    ? [OutputOf[Head], ...Outputs<Rest>]
    : Outputs<Rest>
  : [];
type Result<O extends readonly unknown[]> = O extends [] ? undefined : O extends [infer Only] ? Only : O;
type ReturnOf = { pointer: Pointer; int: number; text: string; void: undefined };
type Call<E> = E extends { returns: infer R; kinds: infer K extends readonly Kind[] }
  ? (...args: Inputs<K>) => R extends keyof ReturnOf ? ReturnOf[R] : Result<Outputs<K>>
  : never;
type AsyncCall<E> = E extends { kinds: infer K extends readonly Kind[] }
  ? (...args: Inputs<K>) => Promise<Result<Outputs<K>>>
  : never;

const longCalls = [
  'CreateSession',
  'CreateSessionFromArray',
  'CreateSessionFromArrayWithPrepackedWeightsContainer',
  'Run',
] as const satisfies readonly (keyof Functions)[];
type LongCall = (typeof longCalls)[number];

/** Calls throw OrtError; the status is freed. Out parameters become the result. */
export type OrtApi = { readonly [N in keyof Functions]: Call<Functions[N]> } & {
  readonly version: string;
  /** The calls that take long, on libuv's pool. Their pointer arguments must outlive them. */
  readonly async: {
    readonly [N in LongCall]: AsyncCall<Functions[N]>;
  };
};

/** 18 suffices for all but the graph assignment (24); GetApi answers null to what it does not have. */
const API_VERSION = 24;
const TESTED_VERSIONS = /^1\.(2[4-9]|30)\./;

let api: OrtApi | undefined;

/** The API of this thread's library. Errors: EngineError runtime_unavailable. */
export function ortApi(): OrtApi {
  api ??= bindApi(loadOrtLibrary().handle);
  return api;
}

function bindApi(library: LibraryHandle): OrtApi {
  const base = library.func('OrtGetApiBase', 'void *', [])();
  const [getApi, getVersion] = koffi.decode(base, koffi.array('void *', 2)) as [Pointer, Pointer];
  const version = koffi.call(getVersion, koffi.proto('str', [])) as string;
  if (!TESTED_VERSIONS.test(version)) {
    throw runtimeUnavailable(`the native runtime is checked against ONNX Runtime 1.24 to 1.30, not ${version}`);
  }
  const table = koffi.call(getApi, koffi.proto('void *', ['uint32_t']), API_VERSION) as Pointer | null;
  if (!table) throw runtimeUnavailable(`ONNX Runtime ${version} lacks API version ${API_VERSION}`);
  const numSlots = 1 + Math.max(...Object.values(ortFunctions).map(({ slot }) => slot));
  const slots = koffi.decode(table, koffi.array('void *', numSlots)) as Pointer[];

  const raw = Object.fromEntries(
    Object.entries(ortFunctions).map(([name, entry]) => [
      name,
      koffi.decode(slots[entry.slot], koffi.proto(returnType(entry.returns), entry.kinds.map(argumentType))),
    ]),
  ) as Record<keyof Functions, KoffiFunc<(...args: unknown[]) => unknown>>;

  const check = (name: string, failure: unknown) => {
    if (!failure) return;
    const error = new OrtError(raw.GetErrorCode(failure) as number, `${name}: ${raw.GetErrorMessage(failure)}`);
    raw.ReleaseStatus(failure);
    throw error;
  };
  const checked = (name: keyof Functions) => {
    const { returns, kinds } = ortFunctions[name];
    if (returns !== 'status') return raw[name];
    return (...args: unknown[]) => {
      const { all, results } = withOutputs(kinds, args);
      check(name, raw[name](...all));
      return results();
    };
  };
  const inBackground = (name: keyof Functions) => {
    const { kinds } = ortFunctions[name];
    return (...args: unknown[]) =>
      new Promise((resolve, reject) => {
        const { all, results } = withOutputs(kinds, args);
        raw[name].async(...all, (failure: Error | null, answer: unknown) => {
          try {
            if (failure) throw failure;
            check(name, answer);
            resolve(results());
          } catch (error) {
            reject(error);
          }
        });
      });
  };
  const bound = {
    ...Object.fromEntries(Object.keys(ortFunctions).map((name) => [name, checked(name as keyof Functions)])),
    version,
    async: Object.fromEntries(longCalls.map((name) => [name, inBackground(name)])),
  } as unknown as OrtApi;
  probe(bound);
  return bound;
}

/** A status made and read back: if the slots had moved, it shows here and not in the middle of a session. */
function probe(bound: OrtApi): void {
  const made = bound.CreateStatus(3, 'probe');
  const [code, message] = [bound.GetErrorCode(made), bound.GetErrorMessage(made)];
  bound.ReleaseStatus(made);
  if (code === 3 && message === 'probe') return;
  throw runtimeUnavailable(`ONNX Runtime ${bound.version} does not have the expected API table`);
}

function withOutputs(kinds: readonly Kind[], args: readonly unknown[]) {
  const outputs: [unknown][] = [];
  let next = 0;
  const all = kinds.map((kind) => {
    if (!kind.startsWith('out')) return args[next++];
    const place: [unknown] = [kind === 'outPointer' || kind === 'outText' ? null : 0];
    outputs.push(place);
    return place;
  });
  const results = () => (outputs.length > 1 ? outputs.map(([value]) => value) : outputs[0]?.[0]);
  return { all, results };
}

function returnType(returns: Returns | 'pointer'): string {
  return { status: 'void *', pointer: 'void *', void: 'void', int: 'int', text: 'str' }[returns];
}

function argumentType(kind: Kind): string | ReturnType<typeof koffi.out> {
  switch (kind) {
    case 'pointer':
      return 'void *';
    case 'int':
      return 'int';
    case 'size':
      return 'size_t';
    case 'text':
      return 'str';
    case 'path':
      return process.platform === 'win32' ? 'str16' : 'str';
    case 'outPointer':
      return koffi.out(koffi.pointer('void *'));
    case 'outInt':
      return koffi.out(koffi.pointer('int'));
    case 'outSize':
      return koffi.out(koffi.pointer('size_t'));
    case 'outText':
      return koffi.out(koffi.pointer('str'));
  }
}
