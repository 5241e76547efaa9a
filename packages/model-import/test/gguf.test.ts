/** GGUF files, read as gguf-py reads them and imported to the very models that transformers knows (fixtures/make_gguf.py). */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprintOf } from '@forerunner/tokenizer/fingerprint';
import { afterAll, describe, expect, it } from 'vitest';
import { BLOCK_FORMATS } from '../src/gguf/blocks.ts';
import { importCheckpoint, openCheckpoint } from '../src/index.ts';
import { fixtureDir, greedy, logitsOf, referenceOf, scratchDir, withRunner } from './served.ts';

const scratch = scratchDir();
afterAll(() => scratch.remove());

const blocks = JSON.parse(readFileSync(fixtureDir('ggml-blocks.json'), 'utf8')) as Record<
  string,
  { type: number; bytes: string; values: number[] }
>;

describe('blocks of ggml', () => {
  it.each(Object.entries(blocks))(
    '%s are read as gguf-py reads them, to the last bit',
    (name, { type, bytes, values }) => {
      const format = BLOCK_FORMATS[type]!;
      expect(format.name).toBe(name);
      expect(format.decode(Uint8Array.from(Buffer.from(bytes, 'hex')))).toEqual(Float32Array.from(values));
    },
  );

  it('all formats that are known are in that list', () => {
    expect(
      Object.values(BLOCK_FORMATS)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(Object.keys(blocks).toSorted());
  });
});

describe.each(['llama', 'llama-llama3', 'gemma3_text', 'gpt2'])('%s', (name) => {
  const reference = referenceOf(name);
  const path = join(fixtureDir(name), 'model.gguf');
  // What the format does not say: gemma's layers with a window follow a pattern in llama.cpp's code, not this fixture's.
  const config = name === 'gemma3_text' ? { layer_types: layerTypesOf(name) } : {};

  it('from GGUF says in float32 what transformers says: logits and 40 greedy tokens', async () => {
    const checkpoint = openCheckpoint(path);
    const dir = join(scratch.dir, name);
    try {
      Object.assign(checkpoint.config, config, name === 'gemma3_text' && { query_pre_attn_scalar: 24 });
      importCheckpoint(checkpoint, dir, { precision: 'float32' });
    } finally {
      checkpoint.close();
    }
    await withRunner(dir, async (runner) => {
      const logits = await logitsOf(runner, reference.prompt, 1);
      const largest = Math.max(...reference.last_logits.map((expected, id) => Math.abs(expected - logits[id]!)));
      expect(largest).toBeLessThan(2e-4);
      expect(await greedy(runner, reference.prompt, reference.greedy.length)).toEqual(reference.greedy);
    });
  });
});

function layerTypesOf(name: string): unknown {
  return (JSON.parse(readFileSync(join(fixtureDir(name), 'config.json'), 'utf8')) as { layer_types: unknown })
    .layer_types;
}

function companionsOf(path: string) {
  const checkpoint = openCheckpoint(path);
  try {
    return checkpoint.companions();
  } finally {
    checkpoint.close();
  }
}

it('makes of a vocabulary the tokenizer that it came from', () => {
  const made = JSON.parse(String(companionsOf(join(fixtureDir('llama'), 'model.gguf')).get('tokenizer.json')));
  const original = JSON.parse(
    readFileSync(new URL('../../../models/tiny-target/tokenizer.json', import.meta.url), 'utf8'),
  );
  // The original has a template that adds nothing.
  expect(fingerprintOf(made)).toBe(fingerprintOf({ ...original, post_processor: null }));
});

describe('what cannot be imported is named', () => {
  /** The fixture with some bytes changed. */
  function damaged(change: (bytes: Buffer) => Buffer): string {
    const path = join(scratch.dir, `${Math.random()}.gguf`);
    writeFileSync(path, change(readFileSync(join(fixtureDir('gpt2'), 'model.gguf'))));
    return path;
  }
  const replaceText = (from: string, to: string) => (bytes: Buffer) => {
    const at = bytes.indexOf(from);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(to), bytes.subarray(at + from.length)]);
  };

  it.each([
    ['a file that is cut off', (bytes: Buffer) => bytes.subarray(0, -100), 'bad_checkpoint', /ends before .* cut off/],
    ['a file that ends in its metadata', (bytes: Buffer) => bytes.subarray(0, 300), 'bad_checkpoint', /cut off/],
    ['another file', (bytes: Buffer) => bytes.subarray(1), 'bad_checkpoint', /is not a GGUF file/],
    ['an architecture', replaceText('gpt2', 'gptx'), 'bad_checkpoint', /architecture "gptx" is not known/],
  ])('%s', (_, change, code, message) => {
    const act = () => openCheckpoint(damaged(change)).close();
    expect(act).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  it('a way to split text', () => {
    const path = damaged(replaceText('gpt-2', 'gpt-x'));
    expect(() => companionsOf(path)).toThrow(/tokenizer.ggml.pre "gpt-x" is not known/);
  });

  it('a folder with several files', () => {
    for (const name of ['a.gguf', 'b.gguf'])
      copyFileSync(join(fixtureDir('gpt2'), 'model.gguf'), join(scratch.dir, name));
    expect(() => openCheckpoint(scratch.dir)).toThrow(/\.gguf files: name one/);
  });
});
