/**
 * Holds a graph against its config.json: exporters leave out windows, soft caps or rope scaling, and the graph that comes
 * of it runs, and says something else. Only what GroupQueryAttention and the head tell is compared (a
 * vocabulary of another width is refused by the signature); a family or a form of
 * attention that is not known is not checked. Never a refusal: whoever exported the graph may have meant it.
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ArchitectureError, describeModel, familyOf, type ModelDescription } from '@forerunner/architecture';
import {
  DataType,
  decodeModel,
  dimsOfTensor,
  Graph,
  isOp,
  MICROSOFT,
  type NodeProto,
  numberAttribute,
  type TensorProto,
  tensorFloats,
} from '@forerunner/onnx-graph';
import type { Fallback } from '../fallback.ts';
import type { ModelFiles } from './model-files.ts';

/** Inputs of GroupQueryAttention. */
const COS_CACHE = 7;
const SIN_CACHE = 8;

const REASON = 'the graph was exported otherwise than config.json says: its answers are those of another model';

/** What is told as a fallback: wanted is config.json's, used the graph's. */
export function configMismatches(files: Pick<ModelFiles, 'config' | 'graphPath'>): Fallback[] {
  const { config } = files;
  // A feature draft borrows its target's configuration and has a layer of its own.
  if (!familyOf(config) || config.draft_hidden_states != null) return [];
  let model: ModelDescription;
  try {
    model = describeModel(config);
  } catch (error) {
    if (error instanceof ArchitectureError) return []; // the signature says what the engine itself cannot do without
    throw error;
  }
  const graph = new Graph(decodeModel(readFileSync(files.graphPath)));
  const attention = graph.nodes.filter((node) => isOp(node, 'GroupQueryAttention', MICROSOFT));
  if (attention.length === 0) return [];
  const check = new ConfigCheck(graph, dirname(files.graphPath));
  check.compare('layers', model.layers.length, attention.length);
  for (const [index, node] of attention.slice(0, model.layers.length).entries()) check.layer(model, index, node);
  check.head(model);
  return check.mismatches();
}

/** Context lengths of a window: none, or one that is never reached. */
const hasWindow = (window: number | undefined, contextLength: number) =>
  window !== undefined && window > 0 && window < contextLength;

class ConfigCheck {
  readonly #graph: Graph;
  readonly #folder: string;
  /** What differs → the layers where it does; one line for all of them. */
  readonly #found = new Map<string, { wanted: string; used: string; layers: number[] }>();
  readonly #rotations = new Map<string, Rotation | undefined>();

  constructor(graph: Graph, folder: string) {
    this.#graph = graph;
    this.#folder = folder;
  }

  compare(what: string, wanted: number | string, used: number | string, layer?: number): void {
    const isClose =
      typeof wanted === 'number' && typeof used === 'number' && Math.abs(wanted - used) <= 1e-4 * Math.abs(wanted);
    if (wanted === used || isClose) return;
    const line = { wanted: `${what}: ${wanted}`, used: `${what}: ${used}`, layers: [] };
    const known = this.#found.get(`${line.wanted} ${line.used}`) ?? line;
    this.#found.set(`${line.wanted} ${line.used}`, known);
    if (layer !== undefined) known.layers.push(layer);
  }

  layer(model: ModelDescription, index: number, node: NodeProto): void {
    const number = (name: string, fallback: number) => numberAttribute(node, name) ?? fallback;
    const { window, rope } = model.layers[index]!;
    this.compare('attention heads', model.numHeads, number('num_heads', 0), index);
    this.compare('key-value heads', model.numKvHeads, number('kv_num_heads', 0), index);
    const wantedWindow = hasWindow(window, model.contextLength) ? window! : 'none';
    const usedWindow = number('local_window_size', -1);
    this.compare(
      'sliding window',
      wantedWindow,
      hasWindow(usedWindow, model.contextLength) ? usedWindow : 'none',
      index,
    );
    this.compare('soft cap of attention', model.attentionSoftcap ?? 0, number('softcap', 0), index);
    const scale = number('scale', 0);
    this.compare('attention scale', model.attentionScale, scale === 0 ? model.headDim ** -0.5 : scale, index);
    if (number('do_rotary', 0) === 0) {
      // Whoever turns queries and keys with an operator of its own does it before attention: that is not followed.
      if (rope && !this.#rotatesElsewhere()) this.compare('rotary embedding', 'yes', 'none', index);
      return;
    }
    if (!rope) {
      this.compare('rotary embedding', 'none', 'yes', index);
      return;
    }
    const used = this.#rotationOf(node.input[COS_CACHE] ?? '', node.input[SIN_CACHE] ?? '');
    if (!used) return;
    this.compare('rotated dimensions', 2 * rope.inverseFrequencies.length, 2 * used.sines.length, index);
    this.compare('factor of rotation', round(rope.attentionFactor), round(used.factor), index);
    const differs = rope.inverseFrequencies.some((frequency, pair) => !used.isFrequency(frequency, pair));
    if (differs) this.compare('rope frequencies', 'by its rope_theta and scaling', 'others', index);
  }

  head(model: ModelDescription): void {
    const isCapped = this.#graph.nodes.some((node) => isOp(node, 'Tanh') && this.#reachesLogits(node));
    this.compare('soft cap of logits', model.logitSoftcap === undefined ? 'none' : 'yes', isCapped ? 'yes' : 'none');
  }

  mismatches(): Fallback[] {
    return [...this.#found.values()].map(({ wanted, used, layers }) => {
      const where = layers.length === 0 ? '' : ` (${layers.length} layers, the first is ${layers[0]})`;
      return { wanted: `${wanted}, as config.json says`, used: `${used}${where}`, reason: REASON };
    });
  }

  #rotatesElsewhere(): boolean {
    return this.#graph.nodes.some((node) => isOp(node, 'RotaryEmbedding', MICROSOFT) || isOp(node, 'RotaryEmbedding'));
  }

  /** Within a few elementwise steps of the output. */
  #reachesLogits(node: NodeProto): boolean {
    let value = node.output[0] ?? '';
    for (let step = 0; step < 4 && value !== 'logits'; step++) {
      value = this.#graph.consumers(value)[0]?.output[0] ?? '';
    }
    return value === 'logits';
  }

  #rotationOf(cosName: string, sinName: string): Rotation | undefined {
    const key = `${cosName} ${sinName}`;
    if (!this.#rotations.has(key)) this.#rotations.set(key, this.#readRotation(cosName, sinName));
    return this.#rotations.get(key);
  }

  /** Of the first two positions: at 0 the cosine is the factor, at 1 the sine of a frequency keeps all its digits. */
  #readRotation(cosName: string, sinName: string): Rotation | undefined {
    const [cos, sin] = [cosName, sinName].map((name) => this.#graph.initializer(name));
    if (!cos || !sin) return undefined;
    try {
      const [factor = 1] = firstFloats(cos, 1, this.#folder);
      const width = dimsOfTensor(sin)[1] ?? 0;
      const sines = firstFloats(sin, 2 * width, this.#folder).subarray(width);
      // Halves have no digits left for slow rotations.
      const smallest = sin.dataType === DataType.float16 ? 1e-4 : 1e-9;
      const isFrequency = (frequency: number, pair: number) => {
        const wanted = Math.sin(frequency) * factor;
        return Math.abs((sines[pair] ?? 0) - wanted) <= 0.01 * Math.abs(wanted) + smallest;
      };
      return { factor, sines, isFrequency };
    } catch {
      return undefined; // the runtime says what is wrong with the file
    }
  }
}

interface Rotation {
  readonly factor: number;
  readonly sines: Float32Array; // [rotaryDim / 2], of position 1
  isFrequency(frequency: number, pair: number): boolean;
}

/** Caches have a row for each position: only the front is read. */
function firstFloats(tensor: TensorProto, count: number, folder: string): Float32Array {
  const length = count * (tensor.dataType === DataType.float16 ? 2 : 4);
  const entries = tensor.externalData?.map((entry) =>
    entry.key === 'length' ? { ...entry, value: `${length}` } : entry,
  );
  const front = { ...tensor, ...(entries && { externalData: entries }) };
  return tensorFloats(front, folder).subarray(0, count);
}

const round = (factor: number): number => Number(factor.toPrecision(3));
