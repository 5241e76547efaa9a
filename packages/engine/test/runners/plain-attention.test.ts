/**
 * Graphs without GroupQueryAttention, as Optimum writes them: past and present are joined by Concat, so they cannot share
 * memory. The native runtime leaves them to onnxruntime-node, and says so.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { raggedAttention } from '@forerunner/model-tools';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Graph, rewriteModel } from '../../../model-tools/src/graph.ts';
import { argmax, codeOf, largestDifference, modelDir, open, pass, row, sameBits, someIds } from './fixtures.ts';

/** The tiny target in that shape: every cache is Concat(past, new rows), and the past's length gives the positions. */
function plainGraph(): Uint8Array {
  return rewriteModel(raggedAttention(readFileSync(join(modelDir('tiny-target'), 'model.onnx'))), (graph) => {
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

describe('a graph with plain attention', () => {
  const dir = mkdtempSync(join(tmpdir(), 'forerunner-plain-'));
  beforeAll(() => {
    cpSync(modelDir('tiny-target'), dir, { recursive: true });
    writeFileSync(join(dir, 'model.onnx'), plainGraph());
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  test('is left to onnxruntime-node by auto, with a logged reason, and refused by native', async () => {
    const logged: unknown[] = [];
    const runner = await open('node', 'tiny-target', {
      modelDir: dir,
      runtime: 'auto',
      log: (message, fields) => logged.push(message, fields),
    });
    expect(runner.description.runtime).toBe('node');
    expect(JSON.stringify(logged)).toMatch(/native runtime is not available.*no GroupQueryAttention/);
    expect(await codeOf(open('native', 'tiny-target', { modelDir: dir }))).toBe('runtime_unavailable');
    await runner.close();
  });

  test('says what the grouped one says, step by step, after rollbacks and in forks', async () => {
    const [plain, grouped] = [await open('node', 'tiny-target', { modelDir: dir }), await open('node', 'tiny-target')];
    const [a, b] = [plain.createCache(8), grouped.createCache(8)];
    const compare = async (numPast: number, ids: Int32Array) => {
      const [one, other] = [await pass(plain, a, numPast, ids), await pass(grouped, b, numPast, ids)];
      expect(largestDifference(one.logits, other.logits)).toBeLessThan(1e-4);
      expect(argmax(row(one.logits, 1024, ids.length - 1))).toBe(argmax(row(other.logits, 1024, ids.length - 1)));
    };
    await compare(0, someIds(20));
    for (let i = 0; i < 60; i++) await compare(20 + i, someIds(1, i));
    await compare(13, someIds(9, 300));
    const fork = a.fork(13);
    const before = await pass(plain, fork, 13, someIds(4, 77));
    await compare(22, someIds(5, 400));
    expect(sameBits((await pass(plain, fork, 13, someIds(4, 77))).logits, before.logits)).toBe(true);
    await plain.close();
    await grouped.close();
  });
});
