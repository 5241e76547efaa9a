/** What exporters leave out of a graph, or put into it, and is made good in memory when the graph is loaded. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Graph, isOp, MICROSOFT, rewriteModel } from '@forerunner/onnx-graph';
import { afterAll, describe, expect, test } from 'vitest';
import { argmax, modelDir, open, pass, type Runtime, row, runtimes, sameBits, someIds } from './fixtures.ts';
import { plainModelDir } from './plain-graph.ts';

const root = mkdtempSync(join(tmpdir(), 'forerunner-exported-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A copy of a model's folder with an edited graph. */
function edited(from: string, edit: (graph: Graph) => void): string {
  const dir = mkdtempSync(join(root, 'model-'));
  cpSync(from, dir, { recursive: true });
  const path = join(dir, 'model.onnx');
  writeFileSync(path, rewriteModel(readFileSync(path), edit));
  return dir;
}

/** Logits of a prompt and of steps far beyond a window of 16, then of a rollback. */
async function logitsOf(runtime: Runtime, dir: string): Promise<Float32Array> {
  const runner = await open(runtime, 'tiny-target', { modelDir: dir });
  const cache = runner.createCache(8);
  const all: number[] = [];
  const say = async (numPast: number, ids: Int32Array) => all.push(...(await pass(runner, cache, numPast, ids)).logits);
  await say(0, someIds(40));
  for (let i = 0; i < 30; i++) await say(40 + i, someIds(1, 40 + i));
  await say(25, someIds(5, 700));
  cache.release();
  await runner.close();
  return Float32Array.from(all);
}

describe('a head that computes all rows', () => {
  const plain = plainModelDir('tiny-target');
  afterAll(() => rmSync(plain, { recursive: true }));
  /** The Slice that num_logits_to_keep feeds goes, with the input. */
  const all = edited(plain, (graph) => {
    const [start] = graph.consumers('num_logits_to_keep');
    const unsqueeze = graph.consumers(start!.output[0]!)[0]!;
    const slice = graph.consumers(unsqueeze.output[0]!)[0]!;
    for (const reader of graph.consumers(slice.output[0]!)) {
      reader.input = reader.input.map((name) => (name === slice.output[0] ? slice.input[0]! : name));
    }
    for (const node of [start!, unsqueeze, slice]) graph.remove(node);
    graph.proto.input = graph.proto.input.filter(({ name }) => name !== 'num_logits_to_keep');
    graph.proto.valueInfo = [];
  });

  test.each(['native', 'node'] as const)(
    'gets the input that says how many are wanted, and the same bits (%s)',
    async (runtime) => {
      const runner = await open(runtime, 'tiny-target', { modelDir: all });
      expect(runner.signature.numLogitsToKeepInput).toBe('num_logits_to_keep');
      const cache = runner.createCache(64);
      const whole = (await pass(runner, cache, 0, someIds(40))).logits;
      const last = (await pass(runner, cache, 0, someIds(40), { numLogitRows: 2 })).logits;
      expect(argmax(row(last, 1024, 1))).toBe(argmax(row(whole, 1024, 39)));
      expect(sameBits(last, whole.slice(38 * 1024))).toBe(true);
      cache.release();
      await runner.close();
      expect(sameBits(await logitsOf(runtime, all), await logitsOf(runtime, plain))).toBe(true);
    },
  );
});

describe('caches of the window only', () => {
  const attention = (graph: Graph) => graph.nodes.filter((node) => isOp(node, 'GroupQueryAttention', MICROSOFT));
  const setInt = (graph: Graph, name: string, i: number) => {
    for (const node of attention(graph)) {
      node.attribute = [...node.attribute.filter((other) => other.name !== name), { name, type: 2, i }];
    }
  };
  const windowed = edited(modelDir('tiny-target'), (graph) => setInt(graph, 'local_window_size', 16));
  const windowCaches = edited(windowed, (graph) => setInt(graph, 'sliding_window_cache', 1));

  test.each(['native', 'native with batches'] as const)(
    'keep everything instead, and the rows are those of the window (%s)',
    async (runtime) => {
      const rows = await logitsOf(runtime, windowCaches);
      expect(sameBits(rows, await logitsOf(runtime, windowed))).toBe(true);
      expect(sameBits(rows, await logitsOf(runtime, modelDir('tiny-target')))).toBe(false);
    },
  );

  test('are refused by name where the graph runs as it is', async () => {
    await expect(open('node', 'tiny-target', { modelDir: windowCaches })).rejects.toMatchObject({
      code: 'model_unsupported',
      message: expect.stringMatching(
        /keeps a cache of its window only \(sliding_window_cache\).*windowed_kv_cache=false/,
      ),
    });
  });

  test('a window alone runs everywhere', async () => {
    const [first, ...others] = await Promise.all(runtimes.map((runtime) => logitsOf(runtime, windowed)));
    for (const other of others) expect(sameBits(first!, other)).toBe(true);
  });
});

describe('config.json of a model that also sees', () => {
  /** The fields of a text model where such a model has them. */
  function nested(fields: object): string {
    const dir = edited(modelDir('tiny-target'), () => {});
    const path = join(dir, 'config.json');
    const text = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ model_type: 'gemma3', vision_config: {}, ...fields, text_config: text }));
    return dir;
  }

  test.each(runtimes)('is read where it speaks of the text model (%s)', async (runtime) => {
    const runner = await open(runtime, 'tiny-target', { modelDir: nested({}) });
    const usual = await open(runtime, 'tiny-target');
    expect(runner.signature).toEqual(usual.signature);
    await Promise.all([runner.close(), usual.close()]);
  });
});
