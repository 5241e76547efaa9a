/**
 * A graph under the knife: who makes a value, who reads it, names that are free, nodes put where their order is right.
 * Rewrites are written against this class; what an operator means is theirs to know. Lookups scan: graphs have a few
 * thousand nodes, and an index would have to follow every edit.
 */
import { GraphError } from './errors.ts';
import { makeNode, type NodeSpec } from './nodes.ts';
import {
  decodeModel,
  encodeModel,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  toNumber,
  type ValueInfoProto,
} from './onnx.ts';

export class Graph {
  readonly model: ModelProto;

  constructor(model: ModelProto) {
    this.model = model;
  }

  get proto(): GraphProto {
    return this.model.graph;
  }

  get nodes(): readonly NodeProto[] {
    return this.proto.node;
  }

  producer(value: string): NodeProto | undefined {
    return value === '' ? undefined : this.nodes.find((node) => node.output.includes(value));
  }

  consumers(value: string): NodeProto[] {
    return this.nodes.filter((node) => node.input.includes(value));
  }

  initializer(value: string): TensorProto | undefined {
    return this.proto.initializer.find((tensor) => tensor.name === value);
  }

  /** A graph input that a caller must feed: initialisers that are listed as inputs do not count. */
  input(name: string): ValueInfoProto | undefined {
    return this.initializer(name) ? undefined : this.proto.input.find((value) => value.name === name);
  }

  output(name: string): ValueInfoProto | undefined {
    return this.proto.output.find((value) => value.name === name);
  }

  /** What the graph declares about a value anywhere; undefined where it is silent. */
  declared(name: string): ValueInfoProto | undefined {
    return [this.proto.output, this.proto.input, this.proto.valueInfo]
      .flat()
      .find((value) => value.name === name && value.type?.tensorType);
  }

  opsetVersion(domain = ''): number {
    const imported = this.model.opsetImport.find(
      (entry) => (entry.domain === 'ai.onnx' ? '' : entry.domain) === domain,
    );
    return imported ? toNumber(imported.version) : 0;
  }

  /** `base` itself when it is free, else base_1, base_2 … */
  uniqueName(base: string): string {
    const taken = new Set<string>();
    for (const node of this.nodes) for (const name of [node.name, ...node.input, ...node.output]) taken.add(name);
    for (const value of [...this.proto.input, ...this.proto.output]) taken.add(value.name);
    for (const tensor of this.proto.initializer) taken.add(tensor.name);
    for (let suffix = 0; ; suffix++) {
      const name = suffix === 0 ? base : `${base}_${suffix}`;
      if (!taken.has(name)) return name;
    }
  }

  addInitializer(tensor: TensorProto): string {
    const name = this.uniqueName(tensor.name);
    this.proto.initializer.push({ ...tensor, name });
    return name;
  }

  /** Inserts a node of one output before `anchor` (at the front without one); gives the name of its output. */
  insert(spec: Omit<NodeSpec, 'name' | 'outputs'> & { readonly name: string }, anchor?: NodeProto): string {
    const output = this.uniqueName(spec.name);
    this.insertNode({ ...spec, name: output, outputs: [output] }, anchor);
    return output;
  }

  insertNode(spec: NodeSpec, anchor?: NodeProto): NodeProto {
    const node = makeNode(spec);
    const index = anchor ? this.nodes.indexOf(anchor) : 0;
    if (index < 0) throw new GraphError('unsupported_graph', `node ${anchor?.name} is not in the graph`);
    this.proto.node.splice(index, 0, node);
    return node;
  }

  replace(node: NodeProto, by: NodeProto): void {
    this.proto.node = this.nodes.map((candidate) => (candidate === node ? by : candidate));
  }

  remove(node: NodeProto): void {
    this.proto.node = this.nodes.filter((candidate) => candidate !== node);
  }

  append(spec: NodeSpec): NodeProto {
    const node = makeNode(spec);
    this.proto.node.push(node);
    return node;
  }

  /** Renames a value at its producer and at every reader, subgraphs included. */
  renameValue(from: string, to: string): void {
    for (const node of this.proto.node) renameInNode(node, from, to);
    for (const value of this.proto.valueInfo) if (value.name === from) value.name = to;
  }

  /** Drops nodes and initialisers that no output needs any more, and what was declared about them. */
  prune(): void {
    const needed = new Set(this.proto.output.map((value) => value.name));
    const kept = new Set<NodeProto>();
    for (const node of this.nodes.toReversed()) {
      if (!node.output.some((value) => value !== '' && needed.has(value))) continue;
      kept.add(node);
      for (const value of valuesReadBy(node)) needed.add(value);
    }
    this.proto.node = this.proto.node.filter((node) => kept.has(node));
    this.proto.initializer = this.proto.initializer.filter((tensor) => needed.has(tensor.name));
    const made = new Set(this.nodes.flatMap((node) => node.output));
    this.proto.valueInfo = this.proto.valueInfo.filter((value) => made.has(value.name));
  }
}

/** bytes → bytes around an edit; the given bytes are not changed. */
export function rewriteModel(bytes: Uint8Array, edit: (graph: Graph) => void): Uint8Array {
  const graph = new Graph(decodeModel(bytes));
  edit(graph);
  return encodeModel(graph.model);
}

function renameInNode(node: NodeProto, from: string, to: string): void {
  node.input = node.input.map((value) => (value === from ? to : value));
  node.output = node.output.map((value) => (value === from ? to : value));
  for (const inner of subgraphs(node)) for (const innerNode of inner.node) renameInNode(innerNode, from, to);
}

function valuesReadBy(node: NodeProto): string[] {
  return [
    ...node.input,
    ...subgraphs(node).flatMap((inner) => [
      ...inner.node.flatMap(valuesReadBy),
      ...inner.output.map((value) => value.name),
    ]),
  ];
}

function subgraphs(node: NodeProto): GraphProto[] {
  return node.attribute.flatMap((attribute) => [...(attribute.g ? [attribute.g] : []), ...(attribute.graphs ?? [])]);
}
