/** Every family, imported and run, against what transformers says of the same checkpoint (fixtures/make.py). */
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { importCheckpoint, openCheckpoint, type Precision } from '../src/index.ts';
import { agreement, fixtureDir, greedy, logitsOf, referenceOf, scratchDir, withRunner } from './served.ts';

const FIXTURES = [
  'llama',
  'llama-llama3',
  'llama-linear',
  'llama-yarn',
  'smollm3',
  'mistral',
  'qwen2',
  'qwen3',
  'gemma2',
  'gemma3_text',
  'phi3',
  'gpt2',
];

const scratch = scratchDir();
afterAll(() => scratch.remove());

function imported(name: string, precision: Precision, change: (config: Record<string, unknown>) => void = () => {}) {
  const dir = join(scratch.dir, `${name}-${precision}-${Math.random()}`);
  const checkpoint = openCheckpoint(fixtureDir(name));
  try {
    change(checkpoint.config as Record<string, unknown>);
    importCheckpoint(checkpoint, dir, { precision });
  } finally {
    checkpoint.close();
  }
  return dir;
}

describe.each(FIXTURES)('%s', (name) => {
  const reference = referenceOf(name);

  it('says in float32 what transformers says: logits and 40 greedy tokens', async () => {
    await withRunner(imported(name, 'float32'), async (runner) => {
      const logits = await logitsOf(runner, reference.prompt, 1);
      const largest = Math.max(...reference.last_logits.map((expected, id) => Math.abs(expected - logits[id]!)));
      expect(largest).toBeLessThan(2e-4);
      expect(await greedy(runner, reference.prompt, reference.greedy.length)).toEqual(reference.greedy);
    });
  });

  it('agrees in int8 on at least 98 % of the next tokens', async () => {
    await withRunner(imported(name, 'int8'), async (runner) => {
      expect(agreement(await logitsOf(runner, reference.forced), reference.forced_argmax)).toBeGreaterThanOrEqual(0.98);
    });
  });
});

/** Fields that a family's fixture depends on: the comparison above would see each of them missing. */
const FIELDS: readonly (readonly [fixture: string, field: string, without: unknown])[] = [
  ['llama-llama3', 'rope_parameters', { rope_type: 'default', rope_theta: 10_000 }],
  ['llama-linear', 'rope_parameters', { rope_type: 'default', rope_theta: 10_000 }],
  ['llama-yarn', 'rope_parameters', { rope_type: 'linear', rope_theta: 10_000, factor: 4 }],
  ['smollm3', 'no_rope_layers', [1, 1, 1, 1]],
  ['mistral', 'sliding_window', null],
  ['phi3', 'sliding_window', null],
  ['gemma2', 'sliding_window', null],
  ['gemma2', 'attn_logit_softcapping', null],
  ['gemma2', 'final_logit_softcapping', null],
  ['gemma2', 'query_pre_attn_scalar', 16],
  ['gemma3_text', 'sliding_window', null],
  ['gemma3_text', 'layer_types', ['full_attention', 'full_attention', 'full_attention']],
  ['gpt2', 'activation_function', 'gelu'],
];

it.each(FIELDS)('%s with another %s is another model', async (name, field, value) => {
  const reference = referenceOf(name);
  const dir = imported(name, 'float32', (config) => {
    config[field] = value;
  });
  await withRunner(dir, async (runner) => {
    const logits = await logitsOf(runner, reference.prompt, 1);
    const largest = Math.max(...reference.last_logits.map((expected, id) => Math.abs(expected - logits[id]!)));
    expect(largest).toBeGreaterThan(name === 'gpt2' ? 4e-4 : 5e-3);
  });
});
