/**
 * Moves a cache to another block on its device. ONNX Runtime's C API copies whole tensors only, and a block of another
 * capacity has another stride, so a graph of two operators does it on the device:
 * to = Slice(Concat(from, spare), 0, numPositions of to). `spare` is memory of any content.
 */
import type { FloatType, GraphSignature } from '../../signature.ts';
import type { OrtApi, Pointer } from './ort-api.ts';
import { RunArguments } from './run-arguments.ts';
import { OrtSession, type SessionOptions } from './session.ts';
import { elementTypes, hostTensor } from './tensor.ts';

export class DeviceCopier {
  readonly #api: OrtApi;
  readonly #session: OrtSession;
  readonly #allocator: Pointer;
  readonly #hostInfo: Pointer;
  readonly #runOptions: Pointer;
  readonly #signature: GraphSignature;

  private constructor(session: OrtSession, allocator: Pointer, hostInfo: Pointer, signature: GraphSignature) {
    this.#api = session.api;
    this.#session = session;
    this.#allocator = allocator;
    this.#hostInfo = hostInfo;
    this.#runOptions = session.api.CreateRunOptions();
    this.#signature = signature;
  }

  /** `allocator` is the model session's for the device; it outlives the copier. */
  static async open(
    api: OrtApi,
    options: SessionOptions,
    allocator: Pointer,
    hostInfo: Pointer,
    signature: GraphSignature,
  ): Promise<DeviceCopier> {
    const session = await OrtSession.openBytes(api, { bytes: copyGraph(signature.kvType) }, options);
    return new DeviceCopier(session, allocator, hostInfo, signature);
  }

  /** All of what fits of every tensor in `from`, in order. Blocks the thread; happens when a cache grows or is written after a fork. */
  copy(from: readonly Pointer[], fromPositions: number, to: readonly Pointer[], toPositions: number): void {
    const { numKvHeads, headDim, kvType } = this.#signature;
    const shape = BigInt64Array.from([1, numKvHeads, Math.max(1, toPositions - fromPositions), headDim], BigInt);
    const spare = this.#api.CreateTensorAsOrtValue(this.#allocator, shape, shape.length, elementTypes[kvType]);
    const end = BigInt64Array.of(BigInt(toPositions));
    const endValue = hostTensor(this.#api, this.#hostInfo, end, 'int64', [1]);
    const run = new RunArguments(this.#session, ['from', 'spare', 'end'], ['to']);
    try {
      run.setInput('spare', spare);
      run.setInput('end', endValue);
      for (const [i, source] of from.entries()) {
        run.setInput('from', source);
        run.setOutput('to', to[i]!);
        run.runSync(this.#runOptions);
      }
    } finally {
      this.#api.ReleaseValue(endValue);
      this.#api.ReleaseValue(spare);
    }
  }

  close(): void {
    this.#api.ReleaseRunOptions(this.#runOptions);
    this.#session.close();
  }
}

/** Protobuf, as far as it is needed: fields of varints, texts and messages. */
const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
const int = (field: number, value: number) => [...varint(field << 3), ...varint(value)];
const message = (field: number, ...parts: number[][]) => {
  const body = parts.flat();
  return [...varint((field << 3) | 2), ...varint(body.length), ...body];
};
const text = (field: number, value: string) => message(field, [...Buffer.from(value)]);

/** ModelProto with inputs `from`, `spare` [1, heads, positions, dim] and `end` [1] int64, output `to`. */
function copyGraph(type: FloatType): Uint8Array {
  const dims = (names: readonly string[]) => message(2, ...names.map((name) => message(1, text(2, name))));
  const tensor = (field: number, name: string, elementType: number, shape: readonly string[]) =>
    message(field, text(1, name), message(2, message(1, int(1, elementType), dims(shape))));
  const cache = (field: number, name: string) =>
    tensor(field, name, elementTypes[type], ['one', 'heads', `positions_of_${name}`, 'dim']);
  const constant = (name: string, value: number) =>
    message(5, int(1, 1), int(2, elementTypes.int64), message(7, varint(value)), text(8, name));
  const concat = message(
    1,
    text(1, 'from'),
    text(1, 'spare'),
    text(2, 'long'),
    text(4, 'Concat'),
    message(5, text(1, 'axis'), int(3, 2), int(20, 2)),
  );
  const slice = message(
    1,
    text(1, 'long'),
    text(1, 'start'),
    text(1, 'end'),
    text(1, 'axis'),
    text(2, 'to'),
    text(4, 'Slice'),
  );
  const graph = message(
    7,
    concat,
    slice,
    text(2, 'copy'),
    constant('start', 0),
    constant('axis', 2),
    cache(11, 'from'),
    cache(11, 'spare'),
    tensor(11, 'end', elementTypes.int64, ['rank_1']),
    cache(12, 'to'),
  );
  return Uint8Array.from([...int(1, 8), ...graph, ...message(8, text(1, ''), int(2, 17))]);
}
