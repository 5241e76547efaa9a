/** The embedded default target is one function: whatever the shape, the neighbours and the history of its passes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTarget, score, scoring, type TestTarget } from './harness.ts';

const VOCAB = 49_152;
const text = (length: number, offset = 0) =>
  Int32Array.from({ length }, (_, i) => 300 + (((i + offset) * 7919) % 20_000));
const rows = { rows: 'logits', num_rows: 3 };

describe.each([
  ['in turns', '1'],
  ['in batches', '8'],
])('%s: the same text gives the same bits', (_how, batchSize) => {
  let target: TestTarget;
  beforeAll(async () => {
    target = await openTarget({ MODEL_SIZE: '135m', PREFILL_CHUNK_TOKENS: '40', BATCH_SIZE: batchSize });
  });
  afterAll(() => target.close());

  it('and the card says so', () => {
    expect(target.card).toMatchObject({ model_id: 'smollm2-135m-instruct-int8', numeric_regime: 'bit-exact' });
    expect(target.card.max_batch_items).toBe(target.card.runtime === 'native' ? Number(batchSize) : 1);
  });

  it('from a shared prefix, token by token, and after a rollback', async () => {
    const tokens = text(70);
    const own = await score(target.app, scoring('own', tokens, 0, { ...rows, cache_scope: 'own' }));
    expect(own.logits!.length).toBe(3 * VOCAB);

    await score(target.app, scoring('donor', text(51), 0, { num_rows: 0, cache_scope: 'shared' }));
    const shared = await score(target.app, scoring('heir', tokens, 0, { ...rows, cache_scope: 'shared' }));
    expect(shared.num_reused_tokens).toBe(51);
    expect(shared.logits).toEqual(own.logits);

    const wrong = Int32Array.of(...tokens.slice(0, 67), 9, 9, 9, 9);
    await score(target.app, scoring('steps', wrong, 0, { num_rows: 0, cache_scope: 'steps' }));
    const steps: number[] = [];
    for (let position = 67; position < 70; position++) {
      const request = scoring('steps', tokens.slice(0, position + 1), position, {
        rows: 'logits',
        cache_scope: 'steps',
      });
      steps.push(...(await score(target.app, request)).logits!);
    }
    expect(Float32Array.from(steps)).toEqual(own.logits);
  });

  it('alone and beside others', async () => {
    const texts = [text(20, 1), text(33, 2), text(47, 3), text(21, 4)];
    const ask = async (tokens: Int32Array, scope: string) => {
      const before = tokens.slice(0, -3);
      await score(target.app, scoring(scope, before, 0, { num_rows: 0, cache_scope: scope }));
      return score(target.app, scoring(scope, tokens, before.length, { ...rows, cache_scope: scope }));
    };
    const together = await Promise.all(texts.map((tokens, i) => ask(tokens, `together-${i}`)));
    const { passes } = await target.model.call('takeStats', null);
    expect(passes.some((pass) => pass.numItems > 1)).toBe(target.card.max_batch_items > 1);
    for (const [i, tokens] of texts.entries()) {
      expect(together[i]!.logits).toEqual((await ask(tokens, `alone-${i}`)).logits);
    }
  });
});

it('runs single rows only when canonical shapes are turned off, and then no longer claims bit-exactness', async () => {
  const target = await openTarget({ MODEL_SIZE: '135m', CANONICAL_SHAPES: 'false' });
  try {
    expect(target.card.numeric_regime).toBe('tolerance');
  } finally {
    await target.close();
  }
});
