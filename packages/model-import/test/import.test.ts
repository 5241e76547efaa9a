/** What becomes of an import that cannot be made, is ended, or is made twice; and what is refused by name. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeModel } from '@forerunner/onnx-graph';
import { afterAll, describe, expect, it } from 'vitest';
import { importCheckpoint, openCheckpoint, type Precision } from '../src/index.ts';
import { fixtureDir, greedy, referenceOf, scratchDir, withRunner } from './served.ts';

const scratch = scratchDir();
afterAll(() => scratch.remove());

/** A copy of a fixture with other fields in its config.json. */
function copied(name: string, fields: Record<string, unknown> = {}): string {
  const dir = join(scratch.dir, `copy-${Math.random()}`);
  cpSync(fixtureDir(name), dir, { recursive: true });
  const path = join(dir, 'config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...fields }));
  return dir;
}

function importTo(outDir: string, source: string, precision: Precision = 'int8') {
  const checkpoint = openCheckpoint(source);
  try {
    return importCheckpoint(checkpoint, outDir, { precision });
  } finally {
    checkpoint.close();
  }
}

/** Another name in the header, of the same length. */
function renameTensor(dir: string, from: string, to: string): void {
  const path = join(dir, 'model.safetensors');
  const bytes = readFileSync(path);
  bytes.write(to, bytes.indexOf(from));
  writeFileSync(path, bytes);
}

describe('refusals name what they are about, and leave nothing behind', () => {
  it.each<[string, () => string, string, RegExp, Precision?]>([
    [
      'a family',
      () => copied('llama', { model_type: 'mamba' }),
      'unsupported_architecture',
      /model_type "mamba" is not known.*llama/,
    ],
    [
      'a kind of rope',
      () => copied('llama', { rope_parameters: { rope_type: 'dynamic', factor: 2 } }),
      'unsupported_architecture',
      /rope_type "dynamic"/,
    ],
    [
      'an activation',
      () => copied('llama', { hidden_act: 'relu2' }),
      'bad_config',
      /hidden_act in config.json is "relu2"/,
    ],
    [
      'a missing field',
      () => copied('llama', { hidden_size: null }),
      'bad_config',
      /hidden_size in config.json is missing/,
    ],
    [
      'another shape',
      () => copied('qwen2', { intermediate_size: 128 }),
      'bad_checkpoint',
      /gate_proj.weight is \[96, 64\]; config.json makes it \[128, 64\]/,
    ],
    [
      'norms that the family does not have',
      () => copied('qwen3', { model_type: 'llama' }),
      'unknown_tensor',
      /[qk]_norm.weight and 3 more: not a part of the arch/,
    ],
    [
      'a width that is no multiple of blocks',
      () => copied('llama', { hidden_size: 72 }),
      'unsupported_precision',
      /hidden_size 72 is no multiple of 32/,
    ],
    [
      'a file that is cut off',
      () => {
        const dir = copied('qwen2');
        truncateSync(join(dir, 'model.safetensors'), 150_000);
        return dir;
      },
      'bad_checkpoint',
      /ends before .* does: it is cut off/,
    ],
    [
      'a missing tensor',
      () => {
        const dir = copied('mistral');
        renameTensor(dir, 'model.norm.weight', 'model.nurm.weight');
        return dir;
      },
      'missing_tensor',
      /no tensor model.norm.weight/,
    ],
    [
      'a type of tensor',
      () => {
        const dir = copied('mistral');
        renameTensor(dir, '"dtype":"BF16"', '"dtype":"I16" ');
        return dir;
      },
      'unsupported_tensor_type',
      /is of type I16; F32, F16, BF16 are known/,
    ],
    [
      'an empty folder',
      () => {
        const dir = join(scratch.dir, 'nothing');
        mkdirSync(dir);
        return dir;
      },
      'no_checkpoint',
      /has neither config.json nor a .gguf file/,
    ],
  ])('%s', (_, source, code, message) => {
    const parent = join(scratch.dir, `models-${Math.random()}`);
    expect(() => importTo(join(parent, 'x'), source())).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
    expect(existsSync(parent) ? readdirSync(parent) : []).toEqual([]);
  });

  it('a name that is taken, whose model stays as it is', () => {
    const dir = join(scratch.dir, 'taken');
    importTo(dir, fixtureDir('qwen2'));
    const before = readFileSync(join(dir, 'model.onnx'));
    expect(() => importTo(dir, fixtureDir('llama'))).toThrow(expect.objectContaining({ code: 'name_taken' }));
    expect(readFileSync(join(dir, 'model.onnx'))).toEqual(before);
  });
});

it('killed half-way, it leaves no model, and the next one clears up and is whole', async () => {
  const parent = join(scratch.dir, 'killed');
  const dir = join(parent, 'model');
  const index = new URL('../src/index.ts', import.meta.url).pathname;
  const program = `import { importCheckpoint, openCheckpoint } from ${JSON.stringify(index)};
    importCheckpoint(openCheckpoint(process.argv[1]), process.argv[2], {
      precision: 'float32',
      onProgress: ({ numValues, totalValues }) => numValues > totalValues / 2 && process.kill(process.pid, 'SIGKILL'),
    });`;
  const { signal } = spawnSync(process.execPath, [
    '--input-type=module-typescript',
    '--eval',
    program,
    fixtureDir('qwen2'),
    dir,
  ]);
  expect(signal).toBe('SIGKILL');
  expect(readdirSync(parent)).toEqual([expect.stringMatching(/^model\.importing-\d+$/)]);
  importTo(dir, fixtureDir('qwen2'), 'float32');
  expect(readdirSync(parent)).toEqual(['model']);
  const { prompt, greedy: expected } = referenceOf('qwen2');
  await withRunner(dir, async (runner) => expect(await greedy(runner, prompt, expected.length)).toEqual(expected));
});

it('keeps a tied embedding once, and gives the target what drafts and prefills want', () => {
  const sizes = (['int8', 'float32'] as const).map((precision) => {
    const dir = join(scratch.dir, `tied-${precision}`);
    importTo(dir, fixtureDir('llama'), precision);
    const { graph } = decodeModel(readFileSync(join(dir, 'model.onnx')));
    expect(graph.output.map(({ name }) => name)).toEqual(expect.arrayContaining(['logits', 'hidden_states']));
    expect(graph.input.map(({ name }) => name)).toContain('num_logits_to_keep');
    expect(graph.initializer.filter(({ name }) => /lm_head/.test(name) && !name.endsWith('/shape'))).toEqual([]);
    return readdirSync(dir).filter((name) => name.startsWith('model.onnx.data')).length;
  });
  expect(sizes).toEqual([1, 1]);
});

it('float16 is near: the greedy tokens of a margin', async () => {
  const dir = join(scratch.dir, 'half');
  importTo(dir, fixtureDir('mistral'), 'float16');
  const { prompt, greedy: expected } = referenceOf('mistral');
  await withRunner(dir, async (runner) => {
    expect(runner.signature).toMatchObject({ kvType: 'float16', logitsType: 'float16' });
    expect(await greedy(runner, prompt, expected.length)).toEqual(expected);
  });
});
