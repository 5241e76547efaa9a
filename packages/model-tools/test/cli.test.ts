import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { modelFolder } from './models.ts';

const CLI = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
const TINY = modelFolder('tiny-target');
const root = mkdtempSync(join(tmpdir(), 'model-tools-'));

afterAll(() => rmSync(root, { recursive: true }));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('the command line', () => {
  it('says what a model can do', () => {
    const { status, stdout } = run('inspect', TINY);
    expect(status).toBe(0);
    expect(stdout).toMatch(/2 GroupQueryAttention: caches in place, several sequences a pass/);
    expect(stdout).toMatch(/MatMul over hidden states of width 64, rows picked by Slice/);
    expect(stdout).toMatch(/model\.onnx\.data \(0\.6 MB\)/);
  });

  it('new-rows-only writes a folder that passed its check', () => {
    const out = join(root, 'new-rows-only');
    const { status, stdout } = run('new-rows-only', TINY, out, '--check');
    expect(stdout).toMatch(/against the original: 30 rows, .*another token wins in 0/);
    expect(status).toBe(0);
    expect(readdirSync(out).sort()).toEqual(readdirSync(TINY).sort());
    expect(readFileSync(join(out, 'model.onnx'))).not.toEqual(readFileSync(join(TINY, 'model.onnx')));
  });

  it('shards weights and checks what it wrote', () => {
    const { status, stdout } = run('shard', TINY, join(root, 'sharded'), '--max-mb', '1', '--check');
    expect(stdout).toMatch(/weights in model\.onnx\.data-00\n.*bit-equal/);
    expect(status).toBe(0);
  });

  it('trains a feature draft into a folder that says what it wants', () => {
    const out = join(root, 'draft');
    const { status, stdout } = run('train-feature-draft', TINY, out, '--draft-vocab-size', '512', '--seed', '3');
    expect(stdout).toMatch(/fitted to 4080 tokens, explained variance 0\.\d\d/);
    expect(status).toBe(0);
    expect(readdirSync(out)).toEqual(
      expect.arrayContaining(['model.onnx', 'config.json', 'd2t.i32', 'tokenizer.json']),
    );
    expect(run('inspect', out).stdout).toMatch(/features float32 \[batch_size, sequence_length, 64\]/);
  });

  it('ends with one sentence and status 1 when a tool refuses, and writes nothing', () => {
    const out = join(root, 'refused');
    const { status, stderr } = run('add-hidden-states', TINY, out);
    expect(status).toBe(1);
    expect(stderr).toBe('the graph already has an output hidden_states\n');
    expect(existsSync(out)).toBe(false);
  });

  it.each([
    [['inspect', '/nowhere'], 1, /there is no folder \/nowhere/],
    [['polish', TINY, '/nowhere'], 2, /there is no command polish/],
    [['shard', TINY], 2, /needs a folder to write to/],
    [['shard', TINY, '/nowhere', '--max-mb', 'few'], 2, /--max-mb must be a whole number above 0, not few/],
    [['shard', TINY, '/nowhere', '--fast'], 2, /Unknown option '--fast'/],
  ])('answers %j with status %d', (args, status, message) => {
    const result = run(...(args as string[]));
    expect(result.stderr).toMatch(message as RegExp);
    expect(result.status).toBe(status);
  });

  it('does not write over a model', () => {
    const { status, stderr } = run('new-rows-only', TINY, modelFolder('tiny-draft'));
    expect(stderr).toMatch(/already holds a model/);
    expect(status).toBe(1);
  });
});
