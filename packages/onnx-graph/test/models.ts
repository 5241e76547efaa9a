/** Shipped graphs, and how exporters would have written them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Graph, rewriteModel } from '../src/graph.ts';

/** Shipped folders that the tests read; nothing is ever written there. */
export function modelFolder(name: string): string {
  return fileURLToPath(new URL(`../../../models/${name}`, import.meta.url));
}

export function graphBytes(name: string): Uint8Array {
  return readFileSync(`${modelFolder(name)}/model.onnx`);
}

/** The graph as exporters write it: all rows of logits, and no hidden states. */
export function plainExport(name: string): Uint8Array {
  return rewriteModel(graphBytes(name), (graph) => {
    graph.proto.output = graph.proto.output.filter((output) => output.name !== 'hidden_states');
    graph.renameValue('hidden_states', 'final_norm');
    const head = graph.producer('logits');
    const slice = graph.producer(head?.input[0] ?? '');
    if (!head || slice?.opType !== 'Slice') throw new Error(`${name} is not as the tests know it`);
    head.input[0] = slice.input[0] ?? '';
    graph.proto.input = graph.proto.input.filter((input) => input.name !== 'num_logits_to_keep');
    graph.prune();
  });
}

/** Renames every inner value and node, so that nothing can be found by name. */
export function withoutNames(bytes: Uint8Array): Uint8Array {
  return rewriteModel(bytes, (graph: Graph) => {
    const fixed = new Set(graph.proto.output.map((output) => output.name));
    graph.proto.valueInfo = [];
    for (const [index, node] of graph.nodes.entries()) {
      node.name = `n${index}`;
      for (const [slot, value] of node.output.entries()) {
        if (value && !fixed.has(value)) graph.renameValue(value, `v${index}_${slot}`);
      }
    }
  });
}
