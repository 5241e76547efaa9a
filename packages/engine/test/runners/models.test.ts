/** What single kinds of models add to the contract: hidden states in and out, reduced heads, half precision. */
import { describe, expect, test } from 'vitest';
import { argmax, codeOf, largestDifference, open, pass, row, runtimes, sameBits, someIds } from './fixtures.ts';

describe.each(runtimes)('%s runner', (runtime) => {
  test('gives the hidden states of the real rows only', async () => {
    const target = await open(runtime, 'smollm2-135m-instruct-int8');
    const { width } = target.signature.hiddenStatesOutput!;
    const ids = someIds(9);
    const cache = target.createCache(9);
    const whole = await pass(target, cache, 0, ids, { wantHiddenStates: true, numLogitRows: 1 });
    expect(whole.hiddenStates!.length).toBe(9 * width);
    for (let i = 0; i < ids.length; i++) {
      const step = await pass(target, cache, i, ids.subarray(i, i + 1), { wantHiddenStates: true });
      expect(sameBits(step.hiddenStates!, row(whole.hiddenStates!, width, i)), `row ${i}`).toBe(true);
    }
    expect((await pass(target, cache, 0, ids)).hiddenStates).toBeUndefined();
    cache.release();
    await target.close();
  });

  test('feeds hidden states to a draft that wants them', async () => {
    const draft = await open(runtime, 'smollm2-135m-draft-feature-int8');
    const width = draft.signature.hiddenStatesInput!.width;
    expect([width, draft.signature.hiddenStatesOutput?.width]).toEqual([576, 576]);
    const ids = someIds(5);
    const hiddenStates = Float32Array.from({ length: 5 * width }, (_, i) => Math.sin(i));
    const cache = draft.createCache(5);
    const whole = await pass(draft, cache, 0, ids, { hiddenStates, wantHiddenStates: true });
    for (let i = 0; i < ids.length; i++) {
      const one = { hiddenStates: row(hiddenStates, width, i), wantHiddenStates: true };
      const step = await pass(draft, cache, i, ids.subarray(i, i + 1), one);
      expect(largestDifference(step.logits, row(whole.logits, draft.signature.headSize, i))).toBeLessThan(1e-3);
      expect(largestDifference(step.hiddenStates!, row(whole.hiddenStates!, width, i))).toBeLessThan(1e-3);
    }
    const others = await pass(draft, cache, 0, ids, { hiddenStates: hiddenStates.map((value) => -value) });
    expect(largestDifference(others.logits, whole.logits)).toBeGreaterThan(0.1);
    expect(await codeOf(pass(draft, cache, 0, ids))).toMatch(/hidden states must have 5 x 576/);
    expect(await codeOf(pass(draft, cache, 0, ids, { hiddenStates: hiddenStates.subarray(1) }))).toMatch(/5 x 576/);
    cache.release();
    await draft.close();
  });

  test('reads a reduced head and its map to the target', async () => {
    const draft = await open(runtime, 'smollm2-135m-draft-4l-int8', { minRows: 1 });
    const { headSize, vocabSize, draftToTarget } = draft.signature;
    expect([headSize, vocabSize, draftToTarget?.length]).toEqual([16_384, 49_152, 16_384]);
    expect(new Set(draftToTarget).size).toBe(16_384);
    const cache = draft.createCache(4);
    expect((await pass(draft, cache, 0, someIds(4))).logits.length).toBe(4 * 16_384);
    cache.release();
    await draft.close();
  });

  test('half precision says what single precision says, within 0.05 and with the same argmax', async () => {
    for (const name of ['tiny-target', 'tiny-draft']) {
      const [single, half] = [await open(runtime, name), await open(runtime, `${name}-fp16`)];
      expect([half.signature.kvType, half.signature.logitsType]).toEqual(['float16', 'float16']);
      const [a, b] = [single.createCache(64), half.createCache(64)];
      expect(b.bytes * 2).toBe(a.bytes);
      let ids = someIds(16);
      for (let numPast = 0; numPast < 60; ) {
        const [wide, narrow] = [await pass(single, a, numPast, ids), await pass(half, b, numPast, ids)];
        expect(largestDifference(wide.logits, narrow.logits)).toBeLessThan(0.05);
        const last = row(wide.logits, 1024, ids.length - 1);
        expect(argmax(row(narrow.logits, 1024, ids.length - 1))).toBe(argmax(last));
        numPast += ids.length;
        ids = Int32Array.of(argmax(last));
      }
      a.release();
      b.release();
      await single.close();
      await half.close();
    }
  });
});

test('a single row is another function: why passes are padded', async () => {
  const padded = await open('node', 'smollm2-135m-instruct-int8', { minRows: 2 });
  const bare = await open('node', 'smollm2-135m-instruct-int8', { minRows: 1 });
  const [a, b] = [padded.createCache(8), bare.createCache(8)];
  const prompt = await pass(padded, a, 0, someIds(6));
  await pass(bare, b, 0, someIds(6));
  expect(sameBits(prompt.logits, (await pass(bare, b, 0, someIds(6))).logits)).toBe(true);
  const [two, one] = [await pass(padded, a, 5, someIds(1, 5)), await pass(bare, b, 5, someIds(1, 5))];
  expect(sameBits(two.logits, row(prompt.logits, padded.signature.headSize, 5))).toBe(true);
  expect(sameBits(one.logits, two.logits)).toBe(false);
  await padded.close();
  await bare.close();
});
