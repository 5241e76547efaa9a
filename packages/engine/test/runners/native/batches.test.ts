/** Several sequences in one pass: the same bits as alone, whatever sits beside them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ForwardItem, KvCache, ModelRunner } from '../../../src/index.ts';
import { codeOf, largestDifference, open, pass, sameBits, someIds } from '../fixtures.ts';

const models = ['tiny-target', 'tiny-target-fp16', 'smollm2-135m-instruct-int8'];

/** Chunks of prefills beside single tokens, and numbers of rows that leave one to the last tile. */
const chunks = [
  [1, 33, 65, 1],
  [200, 1, 2, 97],
];

describe.each(models)('batches of %s', (model) => {
  let runner: ModelRunner;
  beforeAll(async () => {
    runner = await open('native with batches', model);
  });
  afterAll(() => runner.close());

  const item = (cache: KvCache, numPastTokens: number, tokenIds: Int32Array): ForwardItem => ({
    cache,
    numPastTokens,
    tokenIds,
    numLogitRows: tokenIds.length,
  });
  const sequence = async (numTokens: number, offset: number) => {
    const cache = runner.createCache(numTokens);
    await pass(runner, cache, 0, someIds(numTokens, offset));
    return cache;
  };
  /** The pass of an item in a fresh cache, alone. */
  const alone = async (numPast: number, offset: number, tokenIds: Int32Array) => {
    const cache = await sequence(numPast, offset);
    const { logits } = await pass(runner, cache, numPast, tokenIds);
    cache.release();
    return logits;
  };

  test('give every sequence the rows that it has alone, at any length and number of new tokens', {
    timeout: 180_000,
  }, async () => {
    const lengths = [10, 3, 61, 130];
    const caches = await Promise.all(lengths.map((length, i) => sequence(length, i)));
    for (const numNew of [
      [1, 1, 1, 1],
      [5, 3, 1, 4],
      [2, 2, 2, 2],
      [9, 9, 9, 9],
      [11, 11, 11, 10],
      ...(model.startsWith('tiny') ? chunks : []),
    ]) {
      const news = numNew.map((n, i) => someIds(n, 700 + 10 * i));
      const batch = await runner.forward(caches.map((cache, i) => item(cache, lengths[i]!, news[i]!)));
      for (const [i, { logits }] of batch.outputs.entries()) {
        expect(logits.length).toBe(numNew[i]! * runner.signature.headSize);
        const expected = await alone(lengths[i]!, i, news[i]!);
        expect(sameBits(logits, expected), `${numNew}: sequence ${i}`).toBe(true);
      }
      batch.release();
    }
    for (const cache of caches) cache.release();
  });

  test('of three, whose rows would leave one to the last tile, are padded past it', async () => {
    const caches = await Promise.all([8, 9, 10].map((length) => sequence(length, length)));
    const batch = await runner.forward(caches.map((cache, i) => item(cache, 8 + i, someIds(11, i))));
    for (const [i, { logits }] of batch.outputs.entries()) {
      expect(sameBits(logits, await alone(8 + i, 8 + i, someIds(11, i)))).toBe(true);
    }
    for (const cache of caches) cache.release();
  });

  test('go on when sequences grow, leave, come and change places', { timeout: 400_000 }, async () => {
    const texts = Array.from({ length: 7 }, (_, i) => ({ offset: i * 31, numHeld: 4 + i }));
    const caches = await Promise.all(texts.map(({ numHeld, offset }) => sequence(numHeld, offset)));
    for (let round = 0; round < 30; round++) {
      const chosen = [0, 1, 2, 3].map((i) => (round * 3 + i * (1 + (round % 3))) % 7);
      const members = [...new Set(chosen)].slice(0, 2 + (round % 3));
      const news = members.map((i) => someIds(3, texts[i]!.offset + texts[i]!.numHeld));
      const batch = await runner.forward(members.map((i, k) => item(caches[i]!, texts[i]!.numHeld, news[k]!)));
      for (const [k, i] of members.entries()) {
        const { numHeld, offset } = texts[i]!;
        expect(sameBits(batch.outputs[k]!.logits, await alone(numHeld, offset, news[k]!)), `round ${round}, ${i}`).toBe(
          true,
        );
        texts[i]!.numHeld += 1 + (round % 3); // the rest is rolled back
      }
      batch.release();
      if (round % 10 === 9) {
        caches[round % 7]!.release();
        texts[round % 7] = { offset: round * 57, numHeld: 70 + round };
        caches[round % 7] = await sequence(70 + round, round * 57);
      }
    }
    for (const cache of caches) cache.release();
  });

  test('and passes alone take turns on the same sequences, and forks are sequences of their own', async () => {
    const [a, b] = [await sequence(20, 0), await sequence(30, 1)];
    const first = await runner.forward([item(a, 20, someIds(2, 5)), item(b, 30, someIds(2, 6))]);
    first.release();
    const fork = a.fork(21);
    const single = await pass(runner, a, 20, someIds(4, 50));
    expect(sameBits(single.logits, await alone(20, 0, someIds(4, 50)))).toBe(true);
    const both = await runner.forward([item(fork, 20, someIds(3, 9)), item(b, 30, someIds(1, 9))]);
    expect(sameBits(both.outputs[0]!.logits, await alone(20, 0, someIds(3, 9)))).toBe(true);
    expect(sameBits(both.outputs[1]!.logits, await alone(30, 1, someIds(1, 9)))).toBe(true);
    for (const cache of [a, b, fork]) cache.release();
  });
});

describe('a runner with batches', () => {
  test('says how many sequences go together, and refuses more', async () => {
    const [batched, single] = [await open('native with batches', 'tiny-target'), await open('native', 'tiny-target')];
    expect([batched.maxSequences, single.maxSequences]).toEqual([4, 1]);
    const caches = Array.from({ length: 5 }, () => batched.createCache(4));
    const items = caches.map((cache) => ({ cache, numPastTokens: 0, tokenIds: someIds(2), numLogitRows: 1 }));
    expect(await codeOf(batched.forward(items))).toMatch(/at most 4 sequences, got 5/);
    expect(await codeOf(batched.forward(items.slice(1)))).toBe('no error');
    await batched.close();
    await single.close();
  });

  test('takes a sequence at the end of its context beside a short one', async () => {
    const runner = await open('native with batches', 'tiny-target');
    const [full, short] = [runner.createCache(510), runner.createCache(8)];
    await pass(runner, full, 0, someIds(509));
    await pass(runner, short, 0, someIds(5));
    const batch = await runner.forward([
      { cache: full, numPastTokens: 509, tokenIds: someIds(2), numLogitRows: 2 },
      { cache: short, numPastTokens: 5, tokenIds: someIds(2), numLogitRows: 2 },
    ]);
    const again = await pass(runner, full, 509, someIds(2));
    expect(sameBits(batch.outputs[0]!.logits, again.logits)).toBe(true);
    await runner.close();
  });

  test('leaves alone what a sequence holds that is not in the pass', async () => {
    const runner = await open('native with batches', 'tiny-target');
    const caches = [];
    for (const numTokens of [5, 505, 7]) {
      const cache = runner.createCache(numTokens);
      await pass(runner, cache, 0, someIds(numTokens));
      caches.push(cache);
    }
    const [a, full, b] = caches as [KvCache, KvCache, KvCache];
    const expected = await pass(runner, full, 505, someIds(2));
    const item = (cache: KvCache, numPastTokens: number, n: number) => ({
      cache,
      numPastTokens,
      tokenIds: someIds(n),
      numLogitRows: n,
    });
    (await runner.forward([item(a, 5, 2), item(full, 505, 2), item(b, 7, 2)])).release();
    (await runner.forward([item(a, 5, 20), item(b, 7, 20)])).release();
    expect(sameBits((await pass(runner, full, 505, someIds(2))).logits, expected.logits)).toBe(true);
    await runner.close();
  });

  test('refuses the same sequence twice in a batch, and all are usable afterwards', async () => {
    const runner = await open('native with batches', 'tiny-target');
    const [a, b] = [runner.createCache(8), runner.createCache(8)];
    const step = (cache: KvCache) => ({ cache, numPastTokens: 0, tokenIds: someIds(2), numLogitRows: 1 });
    expect(await codeOf(runner.forward([step(b), step(a), step(a)]))).toMatch(/while a pass uses it/);
    expect(await codeOf(runner.forward([step(b), step(a)]))).toBe('no error');
    await runner.close();
  });

  test('batches feature drafts and hidden states', async () => {
    const runner = await open('native with batches', 'smollm2-135m-draft-feature-int8', { minRows: 1 });
    const width = runner.signature.hiddenStatesInput!.width;
    const make = (numTokens: number, seed: number, cache: KvCache): ForwardItem => ({
      cache,
      numPastTokens: 0,
      tokenIds: someIds(numTokens, seed),
      numLogitRows: 1,
      hiddenStates: Float32Array.from({ length: numTokens * width }, (_, i) => Math.sin(i + seed)),
      wantHiddenStates: seed === 1,
    });
    const items = [3, 4, 2].map((n, seed) => make(n, seed, runner.createCache(8)));
    const batch = await runner.forward(items);
    for (const [i, output] of batch.outputs.entries()) {
      const { cache: _, ...rest } = items[i]!;
      const single = await pass(runner, runner.createCache(8), 0, rest.tokenIds, rest);
      expect(largestDifference(output.logits, single.logits)).toBeLessThan(1e-3);
      if (i === 1) expect(largestDifference(output.hiddenStates!, single.hiddenStates!)).toBeLessThan(1e-3);
      else expect(output.hiddenStates).toBeUndefined();
    }
    await runner.close();
  });

  test('give feature drafts of different lengths, with new rows of their own, what they have alone', async () => {
    const runner = await open('native with batches', 'smollm2-135m-draft-feature-int8', { minRows: 1 });
    const width = runner.signature.hiddenStatesInput!.width;
    const rows = (numTokens: number, seed: number) => ({
      tokenIds: someIds(numTokens, seed),
      hiddenStates: Float32Array.from({ length: numTokens * width }, (_, i) => Math.sin(i + seed)),
      numLogitRows: numTokens,
      wantHiddenStates: true,
    });
    const sequence = async (numTokens: number, seed: number) => {
      const cache = runner.createCache(48);
      await pass(runner, cache, 0, someIds(numTokens, seed), rows(numTokens, seed));
      return cache;
    };
    const lengths = [3, 17, 40];
    const caches = await Promise.all(lengths.map((length, i) => sequence(length, i)));
    for (const numNew of [
      [1, 2, 3],
      [3, 1, 2],
      [1, 1, 1],
    ]) {
      const news = numNew.map((n, i) => rows(n, 700 + 10 * i));
      const batch = await runner.forward(
        caches.map((cache, i) => ({ cache, numPastTokens: lengths[i]!, ...news[i]! })),
      );
      for (const [i, output] of batch.outputs.entries()) {
        const cache = await sequence(lengths[i]!, i);
        const single = await pass(runner, cache, lengths[i]!, news[i]!.tokenIds, news[i]);
        cache.release();
        expect(largestDifference(output.logits, single.logits), `${numNew}: sequence ${i}`).toBeLessThan(1e-3);
        expect(largestDifference(output.hiddenStates!, single.hiddenStates!)).toBeLessThan(1e-3);
      }
      batch.release();
    }
    await runner.close();
  });
});
