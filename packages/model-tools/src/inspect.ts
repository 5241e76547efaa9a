/** What a graph is, in the terms that matter for serving it: what it can do, what it lacks, which tool would add it. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import {
  DataType,
  decodeModel,
  dimsOf,
  findLmHead,
  flatBatch,
  Graph,
  isOp,
  MICROSOFT,
  type ValueInfoProto,
} from '@forerunner/onnx-graph';
import { externalFilesOf, type ModelFolder, openModelFolder } from './model-folder.ts';

/** Lines for a terminal. Errors: ModelToolError bad_folder, GraphError not_onnx. */
export function describeModelFolder(dir: string): string[] {
  return describeModel(openModelFolder(dir));
}

function describeModel(folder: ModelFolder): string[] {
  const graph = new Graph(decodeModel(folder.graphBytes));
  const opsets = graph.model.opsetImport.map((entry) => `${entry.domain || 'ai.onnx'} ${entry.version}`);
  const caches = graph.proto.input.filter((input) => input.name.startsWith('past_key_values.'));
  return [
    `graph        ${graph.nodes.length} nodes, ${opsets.join(', ')}`,
    `attention    ${attentionLine(folder, graph)}`,
    `caches       ${caches.length / 2} layers, ${caches[0] ? valueLine(caches[0]) : 'none'}`,
    `inputs       ${linesOf(graph.proto.input.filter((input) => !caches.includes(input)))}`,
    `outputs      ${linesOf(graph.proto.output.filter((output) => !output.name.startsWith('present.')))}`,
    `head         ${headLine(graph)}`,
    `weights      ${weightsLine(folder, graph)}`,
    ...missingLines(graph),
  ];
}

function attentionLine(folder: ModelFolder, graph: Graph): string {
  const count = graph.nodes.filter((node) => isOp(node, 'GroupQueryAttention', MICROSOFT)).length;
  if (!count) return 'no GroupQueryAttention: caches are copied on every pass, sequences take turns';
  return `${count} GroupQueryAttention: caches in place, ${batchesLine(folder)}`;
}

function batchesLine(folder: ModelFolder): string {
  try {
    flatBatch(folder.graphBytes, 1);
    return 'several sequences a pass';
  } catch (error) {
    return `sequences take turns: ${(error as Error).message}`;
  }
}

function headLine(graph: Graph): string {
  try {
    const head = findLmHead(graph);
    const rows = head.picksRowsBy.map((node) => node.opType).join(', ');
    return `${head.node.opType} over hidden states of width ${head.width}${rows && `, rows picked by ${rows}`}`;
  } catch (error) {
    return (error as Error).message;
  }
}

function weightsLine(folder: ModelFolder, graph: Graph): string {
  const inline = graph.proto.initializer.reduce((sum, tensor) => sum + (tensor.rawData?.length ?? 0), 0);
  const files = externalFilesOf(graph.proto).map((name) => {
    const stats = statSync(join(folder.graphDir, name), { throwIfNoEntry: false });
    return stats ? `${name} (${megabytes(stats.size)})` : `${name} (MISSING)`;
  });
  return [`${megabytes(inline)} in the graph`, ...files].join(', ');
}

function missingLines(graph: Graph): string[] {
  const lines: string[] = [];
  if (!graph.output('hidden_states')) lines.push('no hidden_states output: add-hidden-states, for feature drafts');
  if (!graph.input('num_logits_to_keep')) lines.push('no num_logits_to_keep input: add-num-logits-to-keep saves time');
  return lines.map((line) => `note         ${line}`);
}

function linesOf(values: readonly ValueInfoProto[]): string {
  return values.map(valueLine).join('\n             ');
}

function valueLine(value: ValueInfoProto): string {
  const type =
    Object.entries(DataType).find(([, code]) => code === value.type.tensorType?.elemType)?.[0] ?? 'other type';
  return `${value.name} ${type} [${dimsOf(value)?.join(', ') ?? '?'}]`;
}

function megabytes(numBytes: number): string {
  return `${(numBytes / 1e6).toFixed(1)} MB`;
}
