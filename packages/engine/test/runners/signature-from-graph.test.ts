/** Reading graphs of other exporters, and saying what is wrong with those that do not fit. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeModel, makeNode, type NodeProto } from '@forerunner/onnx-graph';
import { afterAll, describe, expect, test } from 'vitest';
import { type ModelFiles, openModelFiles } from '../../src/runners/model-files.ts';
import { type GraphInfo, signatureFromGraph, type TensorInfo } from '../../src/runners/signature-from-graph.ts';
import { codeOf, modelDir, open, runtimes } from './fixtures.ts';

const tensor = (name: string, type: string, ...shape: (number | string)[]): TensorInfo => ({ name, type, shape });
const ids = tensor('input_ids', 'int64', 'batch', 'seq');
const kv = (numLayers: number, type = 'float32', heads: number | string = 2, dim: number | string = 16) =>
  Array.from({ length: numLayers }, (_, layer) =>
    ['key', 'value'].map((part) => [
      tensor(`past_key_values.${layer}.${part}`, type, 'batch', heads, 'past', dim),
      tensor(`present.${layer}.${part}`, type, 'batch', heads, 'total', dim),
    ]),
  ).flat() as [TensorInfo, TensorInfo][];
const graph = (
  pairs: [TensorInfo, TensorInfo][],
  extraInputs: TensorInfo[] = [],
  extraOutputs: TensorInfo[] = [],
): GraphInfo => ({
  inputs: [ids, ...extraInputs, ...pairs.map(([past]) => past)],
  outputs: [tensor('logits', 'float32', 'batch', 'seq', 100), ...extraOutputs, ...pairs.map(([, present]) => present)],
});
const graphOf = (node: NodeProto) =>
  encodeModel({
    irVersion: 11,
    opsetImport: [{ domain: '', version: 24 }],
    graph: { node: [node], initializer: [], input: [], output: [], valueInfo: [] },
  });
const files = (config: Record<string, unknown> = {}, siblings: Record<string, Buffer> = {}): ModelFiles => ({
  graphPath: 'model.onnx',
  attention: 'group-query',
  config: { vocab_size: 100, max_position_embeddings: 512, eos_token_id: 2, ...config },
  readSibling: (name) => siblings[name] ?? Buffer.alloc(0),
});
const read = (info: GraphInfo, from = files()) => signatureFromGraph(info, from).signature;

describe('a graph is read', () => {
  test('as onnxruntime-genai writes it', () => {
    expect(read(graph(kv(3), [tensor('attention_mask', 'int64', 'batch', 'total')]))).toEqual({
      vocabSize: 100,
      headSize: 100,
      contextLength: 512,
      eosTokenIds: [2],
      numLayers: 3,
      numKvHeads: 2,
      headDim: 16,
      kvType: 'float32',
      logitsType: 'float32',
      hasPositionIds: false,
      hasAttentionMask: true,
    });
  });

  test('as Optimum writes it: position_ids, head size from config.json, several ends', () => {
    const info = graph(kv(1, 'float16', 4, 'dim'), [tensor('position_ids', 'int64', 'batch', 'seq')]);
    const config = { hidden_size: 64, num_attention_heads: 8, eos_token_id: [2, 7], bos_token_id: 1 };
    expect(read(info, files(config))).toMatchObject({
      hasPositionIds: true,
      hasAttentionMask: false,
      headDim: 8,
      kvType: 'float16',
      eosTokenIds: [2, 7],
      bosTokenId: 1,
    });
  });

  test('with every layer in order, also when there are more than ten', () => {
    const binding = signatureFromGraph(graph(kv(12).reverse()), files());
    expect(binding.pastInputs.slice(0, 3)).toEqual([
      'past_key_values.0.key',
      'past_key_values.0.value',
      'past_key_values.1.key',
    ]);
    expect(binding.presentOutputs.at(-1)).toBe('present.11.value');
  });

  test('with a reduced head and its map', () => {
    const map = Buffer.from(Int32Array.from({ length: 100 }, (_, row) => row * 3).buffer);
    const from = files({ vocab_size: 300, draft_vocab_size: 100, draft_to_target: 'd2t.i32' }, { 'd2t.i32': map });
    expect(read(graph(kv(1)), from).draftToTarget).toEqual(Int32Array.from({ length: 100 }, (_, row) => row * 3));
  });
});

describe('a graph is refused by name when', () => {
  const refuse = (info: GraphInfo, from = files()) => expect(() => read(info, from));

  test('it has no cache', () => refuse(graph([])).toThrow(/past_key_values.*export it with a KV cache/));
  test('it has no ids', () => refuse({ ...graph(kv(1)), inputs: kv(1).map(([past]) => past) }).toThrow(/input_ids/));
  test('a layer lacks its value', () => refuse(graph(kv(2).slice(0, 3))).toThrow(/past_key_values.1.value/));
  test('its cache is int8', () => refuse(graph(kv(1, 'int8'))).toThrow(/int8; only float32 and float16/));
  test('layers differ', () => refuse(graph([...kv(1), ...kv(2, 'float32', 3).slice(2)])).toThrow(/1.key differs/));
  test('the number of heads is open', () => refuse(graph(kv(1, 'float32', 'heads'))).toThrow(/fixed number of heads/));
  test('it wants what no runner knows', () =>
    refuse(graph(kv(1), [tensor('use_cache_branch', 'bool', 1)])).toThrow(/use_cache_branch/));
  test('the head is not as wide as config.json says', () =>
    refuse(graph(kv(1)), files({ vocab_size: 101 })).toThrow(/100.*101/));
  test('a reduced head has no map', () =>
    refuse(graph(kv(1)), files({ vocab_size: 300, draft_vocab_size: 100 })).toThrow(/draft_to_target/));
  test('the map is cut short', () =>
    refuse(
      graph(kv(1)),
      files({ vocab_size: 300, draft_vocab_size: 100, draft_to_target: 'm' }, { m: Buffer.alloc(8) }),
    ).toThrow(/m has 8 bytes/));
  test('the map leaves the vocabulary', () => {
    const map = Buffer.from(new Int32Array(100).fill(300).buffer);
    const config = { vocab_size: 300, draft_vocab_size: 100, draft_to_target: 'm' };
    refuse(graph(kv(1)), files(config, { m: map })).toThrow(/row 0 to 300/);
  });
  test('config.json makes no sense', () => {
    refuse(graph(kv(1)), files({ vocab_size: -1 })).toThrow(/vocab_size.*-1/);
    refuse(graph(kv(1)), files({ eos_token_id: 100 })).toThrow(/eos_token_id.*100/);
    refuse(graph(kv(1)), files({ max_position_embeddings: null })).toThrow(/max_position_embeddings/);
  });
});

describe('a folder', () => {
  const root = mkdtempSync(join(tmpdir(), 'forerunner-model-'));
  afterAll(() => rmSync(root, { recursive: true }));
  const folder = (name: string, contents: Record<string, string>) => {
    for (const [file, text] of Object.entries(contents)) {
      mkdirSync(join(root, name, file, '..'), { recursive: true });
      writeFileSync(join(root, name, file), text);
    }
    return join(root, name);
  };

  test('is found with the graph beside config.json, in onnx/, or as the only graph', () => {
    for (const place of ['model.onnx', 'onnx/model.onnx', 'onnx/decoder_fp16.onnx']) {
      const dir = folder(place.replaceAll('/', '_'), { [place]: '', 'config.json': '{}' });
      expect(openModelFiles(dir).graphPath).toBe(join(dir, place));
    }
  });

  test('is refused with the reason', () => {
    expect(() => openModelFiles(join(root, 'nowhere'))).toThrow(/no model folder/);
    expect(() => openModelFiles(folder('empty', { 'config.json': '{}' }))).toThrow(/no model.onnx/);
    expect(() => openModelFiles(folder('two', { 'a.onnx': '', 'b.onnx': '', 'config.json': '{}' }))).toThrow(/several/);
    expect(() => openModelFiles(folder('bare', { 'model.onnx': '' }))).toThrow(/no config.json/);
    expect(() => openModelFiles(folder('broken', { 'model.onnx': '', 'config.json': '{' }))).toThrow(
      /not a JSON object/,
    );
  });

  test('takes eos and bos from generation_config.json where it has them', () => {
    const dir = folder('generation', {
      'model.onnx': '',
      'config.json': '{"eos_token_id": 1, "bos_token_id": 5}',
      'generation_config.json': '{"eos_token_id": [2, 3]}',
    });
    expect(openModelFiles(dir).config).toMatchObject({ eos_token_id: [2, 3], bos_token_id: 5 });
  });

  test('tells attention by operators, not by names that contain them', () => {
    expect(openModelFiles(modelDir('tiny-target')).attention).toBe('group-query');
    const named = folder('named', { 'config.json': '{}' });
    const spec = { op: 'MatMul', inputs: ['GroupQueryAttention', 'other'], outputs: ['product'] };
    writeFileSync(join(named, 'model.onnx'), graphOf(makeNode({ ...spec, name: 'GroupQueryAttention' })));
    expect(openModelFiles(named).attention).toBe('plain');
  });

  test.each(runtimes)(
    'whose weights are missing is not found, whose graph is broken is unsupported (%s)',
    async (runtime) => {
      const torn = join(root, `torn-${runtime}`);
      cpSync(modelDir('tiny-target'), torn, { recursive: true });
      rmSync(join(torn, 'model.onnx.data'));
      expect(await codeOf(open(runtime, 'tiny-target', { modelDir: torn }))).toBe('model_not_found');
      writeFileSync(join(torn, 'model.onnx'), 'no protobuf');
      expect(await codeOf(open(runtime, 'tiny-target', { modelDir: torn }))).toBe('model_unsupported');
    },
  );

  test('names a map outside the folder: refused', async () => {
    const dir = join(root, 'escape');
    cpSync(modelDir('smollm2-135m-draft-4l-int8'), dir, { recursive: true });
    writeFileSync(
      join(dir, 'config.json'),
      JSON.stringify({ ...openModelFiles(dir).config, draft_to_target: '../secrets' }),
    );
    expect(await codeOf(open('native', 'tiny-target', { modelDir: dir }))).toBe('model_unsupported');
  });
});
