/**
 * Which operators a graph is made of, without decoding it: a walk over the tags of the protobuf that steps over weights
 * and shapes. For whoever has to choose before anything is loaded; does not look into subgraphs, where no exporter puts
 * attention.
 */
import protobuf from 'protobufjs/minimal.js';
import { GraphError } from './errors.ts';

/** Field numbers of onnx-ml.proto. */
const MODEL_GRAPH = 7;
const GRAPH_NODE = 1;
const NODE_OP_TYPE = 4;
const NODE_DOMAIN = 7;

/** 'MatMul', 'com.microsoft.GroupQueryAttention': the domain first where it is not the default. Errors: GraphError not_onnx. */
export function operatorsOf(modelBytes: Uint8Array): Set<string> {
  const operators = new Set<string>();
  try {
    for (const graph of fieldsOf(modelBytes, MODEL_GRAPH)) {
      for (const node of fieldsOf(graph, GRAPH_NODE)) operators.add(operatorOf(node));
    }
  } catch (cause) {
    throw new GraphError('not_onnx', `not an ONNX model: ${(cause as Error).message}`, { cause });
  }
  return operators;
}

function operatorOf(node: Uint8Array): string {
  const [opType = '', domain = ''] = [NODE_OP_TYPE, NODE_DOMAIN].map((field) => {
    const [bytes] = fieldsOf(node, field);
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  });
  return domain === '' || domain === 'ai.onnx' ? opType : `${domain}.${opType}`;
}

/** The contents of every field of that number that has a length (messages and texts): views, not copies. */
function* fieldsOf(message: Uint8Array, wanted: number): Generator<Uint8Array> {
  const reader = protobuf.Reader.create(message);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === wanted && (tag & 7) === 2) yield reader.bytes();
    else reader.skipType(tag & 7);
  }
}
