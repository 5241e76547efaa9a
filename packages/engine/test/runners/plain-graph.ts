/** A graph with plain attention, as Optimum writes them: past and present are joined by Concat. */
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Graph, rewriteModel } from '@forerunner/onnx-graph';
import { modelDir } from './fixtures.ts';
import { scatterAttention } from './scatter-attention.ts';

/** A copy of a model's folder with such a graph; whoever makes it removes it. */
export function plainModelDir(model: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'forerunner-plain-'));
  cpSync(modelDir(model), dir, { recursive: true });
  writeFileSync(join(dir, 'model.onnx'), plainGraph(model));
  return dir;
}

/** The model's graph in that shape: every cache is Concat(past, new rows), and the past's length gives the positions. */
function plainGraph(model: string): Uint8Array {
  return rewriteModel(scatterAttention(readFileSync(join(modelDir(model), 'model.onnx'))), (graph) => {
    for (const node of [...graph.nodes]) {
      if (node.opType === 'TensorScatter') {
        const [past, rows] = node.input as [string, string];
        graph.insertNode(
          {
            op: 'Concat',
            name: `${node.name}/joined`,
            inputs: [past, rows],
            outputs: [...node.output],
            attributes: { axis: 2 },
          },
          node,
        );
        graph.remove(node);
      }
    }
    const lengthOf = lengthsIn(graph);
    for (const node of graph.nodes) {
      node.input = node.input.map((name) => (name === 'write_indices' ? lengthOf.past : name));
    }
    graph.proto.input = graph.proto.input.filter(({ name }) => name !== 'write_indices');
  });
}

/** The mask's columns were counted on the cache as it came in; here the past lacks the new rows. */
function lengthsIn(graph: Graph): { past: string } {
  const [first] = graph.nodes;
  const shape = graph.nodes.find((node) => node.name === '/ragged/shape_of_columns')!;
  const axis = graph.nodes.find((node) => node.name === '/ragged/num_columns')!.input[1]!;
  const past = shape.input[0]!;
  const pastShape = graph.insert({ op: 'Shape', name: '/plain/past_shape', inputs: [past] }, first);
  const length = graph.insert({ op: 'Gather', name: '/plain/past_length', inputs: [pastShape, axis] }, first);
  const asList = graph.insert(
    { op: 'Unsqueeze', name: '/plain/past_lengths', inputs: [length, zeroAxis(graph)] },
    first,
  );
  const rowCount = graph.nodes.find((node) => node.name === '/ragged/num_rows')!.output[0]!;
  const columns = graph.nodes.find((node) => node.name === '/ragged/columns')!;
  const total = graph.insert({ op: 'Add', name: '/plain/total', inputs: [length, rowCount] }, columns);
  columns.input[1] = total;
  return { past: asList };
}

function zeroAxis(graph: Graph): string {
  const axis = new Uint8Array(8);
  return graph.addInitializer({ dims: [1], dataType: 7, name: '/plain/axis', rawData: axis } as never);
}
