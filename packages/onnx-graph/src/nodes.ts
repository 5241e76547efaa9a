/**
 * Making and reading nodes, attributes, small constants and declared values. Knows the protobuf's conventions (default
 * domain, attribute types); knows no graph.
 */
import {
  type AttributeProto,
  DataType,
  type DimensionProto,
  type NodeProto,
  type TensorProto,
  toNumber,
  type ValueInfoProto,
} from './onnx.ts';

export const MICROSOFT = 'com.microsoft';

/** An integer becomes INT, any other number FLOAT (write a whole FLOAT as { float }), arrays INTS, text STRING. */
type AttributeValue = number | string | readonly number[] | { readonly float: number };

export interface NodeSpec {
  readonly op: string;
  readonly domain?: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

export function makeNode(spec: NodeSpec): NodeProto {
  return {
    opType: spec.op,
    name: spec.name,
    input: [...spec.inputs],
    output: [...spec.outputs],
    attribute: Object.entries(spec.attributes ?? {}).map(([name, value]) => makeAttribute(name, value)),
    ...(spec.domain && { domain: spec.domain }),
  };
}

const ATTRIBUTE_TYPE = { FLOAT: 1, INT: 2, STRING: 3, INTS: 7 } as const;

function makeAttribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'string') return { name, type: ATTRIBUTE_TYPE.STRING, s: Buffer.from(value) };
  if (typeof value === 'number') {
    return Number.isInteger(value)
      ? { name, type: ATTRIBUTE_TYPE.INT, i: value }
      : { name, type: ATTRIBUTE_TYPE.FLOAT, f: value };
  }
  if ('float' in value) return { name, type: ATTRIBUTE_TYPE.FLOAT, f: value.float };
  return { name, type: ATTRIBUTE_TYPE.INTS, ints: [...value] };
}

/** The number of an INT or FLOAT attribute; undefined when the node does not carry it. */
export function numberAttribute(node: NodeProto, name: string): number | undefined {
  const attribute = node.attribute.find((candidate) => candidate.name === name);
  if (!attribute) return undefined;
  return attribute.type === ATTRIBUTE_TYPE.FLOAT ? attribute.f : toNumber(attribute.i ?? 0);
}

/** Position of the first input from `first` on that is not left out: what a rewrite that reads fewer would lose. */
export function inputFrom(node: NodeProto, first: number): number | undefined {
  const index = node.input.findIndex((name, position) => position >= first && name !== '');
  return index < 0 ? undefined : index;
}

export function isOp(node: NodeProto | undefined, op: string, domain = ''): node is NodeProto {
  return node?.opType === op && (node.domain || '') === domain;
}

export function int64Tensor(name: string, dims: readonly number[], values: readonly bigint[]): TensorProto {
  return { name, dims: [...dims], dataType: DataType.int64, rawData: bytesOf(BigInt64Array.from(values)) };
}

export function float32Tensor(name: string, dims: readonly number[], values: Float32Array): TensorProto {
  return { name, dims: [...dims], dataType: DataType.float32, rawData: bytesOf(values) };
}

/** Dimensions: a number is fixed, a text is symbolic. */
export function makeValueInfo(name: string, elemType: number, dims: readonly (number | string)[]): ValueInfoProto {
  const dim: DimensionProto[] = dims.map((size) =>
    typeof size === 'number' ? { dimValue: size } : { dimParam: size },
  );
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

/** Undefined where the value is no tensor or has no declared rank; a nameless dimension reads as '?'. */
export function dimsOf(value: ValueInfoProto | undefined): (number | string)[] | undefined {
  return value?.type.tensorType?.shape?.dim.map((dim) =>
    dim.dimValue != null && hasOwn(dim, 'dimValue') ? toNumber(dim.dimValue) : dim.dimParam || '?',
  );
}

function hasOwn(object: object, key: string): boolean {
  return Object.hasOwn(object, key);
}

/** The same memory. */
export function bytesOf(values: BigInt64Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
