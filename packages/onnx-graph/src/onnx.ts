/**
 * ONNX files as plain objects and back, over the official protobuf schema in ../schema. Fields that the schema does not
 * know are kept and written again. Knows no operator and never follows a reference to external data.
 */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { GraphError } from './errors.ts';

/** int64 on the wire: decoded as a Long; a number or a decimal string may be assigned. */
export type Int64 = number | string | { toNumber(): number };

/** The fields of onnx-ml.proto that this package touches; all others live on in the decoded objects. */
export interface ModelProto {
  irVersion: Int64;
  opsetImport: OperatorSetIdProto[];
  graph: GraphProto;
}
interface OperatorSetIdProto {
  domain: string;
  version: Int64;
}
export interface GraphProto {
  node: NodeProto[];
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  valueInfo: ValueInfoProto[];
}
export interface NodeProto {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  domain?: string;
  attribute: AttributeProto[];
}
export interface AttributeProto {
  name: string;
  type: number;
  f?: number;
  i?: Int64;
  s?: Uint8Array;
  t?: TensorProto;
  g?: GraphProto;
  ints?: Int64[];
  graphs?: GraphProto[];
}
export interface TensorProto {
  name: string;
  dims: Int64[];
  dataType: number;
  rawData?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: Int64[];
  externalData?: StringStringEntryProto[];
  dataLocation?: number;
}
interface StringStringEntryProto {
  key: string;
  value: string;
}
export interface ValueInfoProto {
  name: string;
  type: { tensorType?: { elemType: number; shape?: { dim: DimensionProto[] } } };
}
export interface DimensionProto {
  dimValue?: Int64;
  dimParam?: string;
}

/** TensorProto.DataType, the part that language models use. */
export const DataType = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10, bfloat16: 16 } as const;

let parsedSchema: protobuf.Type | undefined;

/** Parsed when the first graph is decoded: that takes some 50 ms, and most processes never decode one. */
function modelType(): protobuf.Type {
  if (!parsedSchema) {
    const text = readFileSync(new URL('../schema/onnx-ml.proto', import.meta.url), 'utf8');
    parsedSchema = protobuf.parse(text).root.lookupType('onnx.ModelProto');
  }
  return parsedSchema;
}

/** Big tensors stay views of `bytes`. Errors: GraphError not_onnx. */
export function decodeModel(bytes: Uint8Array): ModelProto {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = false;
  let model: ModelProto;
  try {
    model = modelType().decode(reader) as unknown as ModelProto;
  } catch (cause) {
    throw new GraphError('not_onnx', `not an ONNX model: ${(cause as Error).message}`, { cause });
  }
  if (!model.graph || model.opsetImport.length === 0) {
    throw new GraphError('not_onnx', 'not an ONNX model: it has no graph or names no operator set');
  }
  return model;
}

export function encodeModel(model: ModelProto): Uint8Array {
  return modelType()
    .encode(model as unknown as protobuf.Message)
    .finish();
}

export function toNumber(value: Int64): number {
  return typeof value === 'object' ? value.toNumber() : Number(value);
}
