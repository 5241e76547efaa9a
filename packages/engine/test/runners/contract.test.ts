/** What every runner promises, on every kind of graph that is embedded. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelRunner } from '../../src/index.ts';
import { codeOf, open, pass, row, runtimes, sameBits, someIds } from './fixtures.ts';
import { plainModelDir } from './plain-graph.ts';

const models = ['tiny-target', 'tiny-target-fp16', 'smollm2-135m-instruct-int8'];
/** A copy of tiny-target whose past and present are joined by Concat. */
const plain = { model: 'tiny-target, plain attention', dir: plainModelDir('tiny-target') };
afterAll(() => rmSync(plain.dir, { recursive: true }));
const cases = [
  ...runtimes.flatMap((runtime) => models.map((model) => ({ runtime, model }))),
  ...(['native', 'node'] as const).map((runtime) => ({ runtime, model: plain.model })),
];

describe.each(cases)('$runtime runner, $model', ({ runtime, model }) => {
  let runner: ModelRunner;
  let width: number;
  beforeAll(async () => {
    runner = await open(runtime, model, model === plain.model ? { modelDir: plain.dir } : {});
    width = runner.signature.headSize;
  });
  afterAll(() => runner.close());

  test('gives the same bits for a prompt at once, one by one, and nine tokens after a rollback', async () => {
    const ids = someIds(24);
    const whole = runner.createCache(24);
    const prompt = await pass(runner, whole, 0, ids);
    const stepwise = runner.createCache(24);
    for (let i = 0; i < ids.length; i++) {
      const step = await pass(runner, stepwise, i, ids.subarray(i, i + 1));
      expect(sameBits(step.logits, row(prompt.logits, width, i)), `row ${i}`).toBe(true);
    }
    const nine = await pass(runner, stepwise, 7, ids.subarray(7, 16));
    expect(sameBits(nine.logits, prompt.logits.subarray(7 * width, 16 * width))).toBe(true);
    whole.release();
    stepwise.release();
  });

  const sizes = model.startsWith('tiny') ? [1, 2, 3, 4, 5, 9, 16, 17, 32, 33, 64, 65] : [1, 5, 33, 129];
  test.each(sizes)('gives the same bits when it reads in passes of %i tokens', async (size) => {
    const ids = someIds(130);
    const whole = runner.createCache(130);
    const prompt = await pass(runner, whole, 0, ids);
    const pieces = runner.createCache(130);
    for (let from = 0; from < ids.length; from += size) {
      const piece = ids.subarray(from, Math.min(from + size, ids.length));
      const { logits } = await pass(runner, pieces, from, piece);
      const expected = prompt.logits.subarray(from * width, (from + piece.length) * width);
      expect(sameBits(logits, expected), `rows from ${from}`).toBe(true);
    }
    whole.release();
    pieces.release();
  });

  test('gives the same bits whether one row is asked for or all', async () => {
    const ids = someIds(12);
    const cache = runner.createCache(12);
    const all = await pass(runner, cache, 0, ids);
    for (const numLogitRows of [1, 2, 5]) {
      const { logits } = await pass(runner, cache, 0, ids, { numLogitRows });
      expect(logits.length).toBe(numLogitRows * width);
      expect(sameBits(logits, all.logits.subarray((12 - numLogitRows) * width)), `${numLogitRows} rows`).toBe(true);
    }
    const none = await pass(runner, cache, 0, ids, { numLogitRows: 0 });
    expect(none.logits.length).toBe(0);
    cache.release();
  });

  test('tokens that were rolled back leave no trace', async () => {
    const clean = runner.createCache(32);
    await pass(runner, clean, 0, someIds(8));
    const expected = await pass(runner, clean, 8, someIds(3, 100));
    const dirty = runner.createCache(32);
    await pass(runner, dirty, 0, someIds(8));
    await pass(runner, dirty, 8, someIds(20, 500));
    const after = await pass(runner, dirty, 8, someIds(3, 100));
    expect(sameBits(after.logits, expected.logits)).toBe(true);
    const unlike = await pass(runner, dirty, 8, someIds(3, 101));
    expect(sameBits(unlike.logits, expected.logits)).toBe(false);
    clean.release();
    dirty.release();
  });

  test('a fork goes its own way, and so does what it came from', async () => {
    const parent = runner.createCache(32);
    await pass(runner, parent, 0, someIds(10));
    const child = parent.fork(7);
    const ofChild = await pass(runner, child, 7, someIds(4, 300));
    const ofParent = await pass(runner, parent, 10, someIds(4, 200));
    const grandchild = child.fork(11);
    child.release();
    const ofGrandchild = await pass(runner, grandchild, 11, someIds(2, 400));

    const fresh = runner.createCache(32);
    await pass(runner, fresh, 0, someIds(10));
    expect(sameBits((await pass(runner, fresh, 10, someIds(4, 200))).logits, ofParent.logits)).toBe(true);
    expect(sameBits((await pass(runner, fresh, 7, someIds(4, 300))).logits, ofChild.logits)).toBe(true);
    expect(sameBits((await pass(runner, fresh, 11, someIds(2, 400))).logits, ofGrandchild.logits)).toBe(true);
    for (const cache of [parent, grandchild, fresh]) cache.release();
  });

  test('a cache that grows keeps what it holds', async () => {
    const ids = someIds(300);
    const roomy = runner.createCache(300);
    const growing = runner.createCache(1);
    const capacities = new Set<number>();
    for (let from = 0; from < ids.length; from += 50) {
      const piece = ids.subarray(from, from + 50);
      growing.ensureCapacity(from + 50, from);
      expect(growing.capacity).toBeGreaterThanOrEqual(from + 50);
      capacities.add(growing.capacity);
      const expected = await pass(runner, roomy, from, piece, { numLogitRows: 2 });
      const actual = await pass(runner, growing, from, piece, { numLogitRows: 2 });
      expect(sameBits(actual.logits, expected.logits), `from ${from}`).toBe(true);
    }
    expect(capacities.size).toBeGreaterThan(2);
    expect(growing.bytes).toBeGreaterThanOrEqual(roomy.bytes);
    expect(runner.cacheBytes(300)).toBe(roomy.bytes);
    roomy.release();
    growing.release();
    expect(growing.bytes).toBe(0);
  });

  test('a pass that finds too little room makes it', async () => {
    const ids = someIds(70);
    const roomy = runner.createCache(70);
    const tight = runner.createCache(1);
    await pass(runner, roomy, 0, ids.subarray(0, 60));
    await pass(runner, tight, 0, ids.subarray(0, 60));
    const expected = await pass(runner, roomy, 60, ids.subarray(60));
    expect(sameBits((await pass(runner, tight, 60, ids.subarray(60))).logits, expected.logits)).toBe(true);
    roomy.release();
    tight.release();
  });

  test('refuses ids that are not in the vocabulary, negative ones too, and goes on working', async () => {
    const cache = runner.createCache(8);
    const wrong = Int32Array.of(5, runner.signature.vocabSize, 6);
    expect(await codeOf(pass(runner, cache, 0, wrong))).toBe('token_out_of_range');
    expect(await codeOf(pass(runner, cache, 0, Int32Array.of(-1)))).toBe('token_out_of_range');
    expect(await codeOf(pass(runner, cache, 0, someIds(2)))).toBe('no error');
    cache.release();
  });

  test('refuses items that no correct caller makes', async () => {
    const cache = runner.createCache(8);
    await pass(runner, cache, 0, someIds(4));
    expect(await codeOf(pass(runner, cache, 0, new Int32Array(0)))).toMatch(/at least one token/);
    expect(await codeOf(pass(runner, cache, -1, someIds(1)))).toMatch(/numPastTokens/);
    expect(await codeOf(pass(runner, cache, 6, someIds(1)))).toMatch(/holds/);
    expect(await codeOf(pass(runner, cache, 0, someIds(2), { numLogitRows: 3 }))).toMatch(/numLogitRows/);
    expect(await codeOf(pass(runner, cache, 0, someIds(1), { hiddenStates: new Float32Array(64) }))).toMatch(
      /no hidden states/,
    );
    cache.release();
    expect(await codeOf(pass(runner, cache, 0, someIds(1)))).toBe('closed');
  });

  test('does not start a pass whose signal is aborted, and the cache stays usable', async () => {
    const cache = runner.createCache(8);
    const item = { cache, numPastTokens: 0, tokenIds: someIds(4), numLogitRows: 1 };
    expect(await codeOf(runner.forward([item], AbortSignal.abort()))).toBe('aborted');
    expect(await codeOf(runner.forward([item], new AbortController().signal))).toBe('no error');
    cache.release();
  });
});

describe.each(runtimes)('%s runner', (runtime) => {
  test('counts the pad row against the context', async () => {
    const runner = await open(runtime, 'tiny-target');
    const cache = runner.createCache(512);
    await pass(runner, cache, 0, someIds(510));
    expect(await codeOf(pass(runner, cache, 510, someIds(1)))).toBe('no error');
    expect(await codeOf(pass(runner, cache, 510, someIds(2)))).toBe('no error');
    expect(await codeOf(pass(runner, cache, 511, someIds(1)))).toBe('context_overflow');
    expect(await codeOf(pass(runner, cache, 510, someIds(3)))).toBe('context_overflow');
    expect(() => cache.ensureCapacity(513, 0)).toThrow(/context of 512/);
    cache.release();
    await runner.close();
  });

  test('takes the last place of the context where one row is allowed', async () => {
    const runner = await open(runtime, 'tiny-draft', { minRows: 1 });
    const cache = runner.createCache(512);
    await pass(runner, cache, 0, someIds(511));
    expect(await codeOf(pass(runner, cache, 511, someIds(1)))).toBe('no error');
    expect(await codeOf(pass(runner, cache, 512, someIds(1)))).toBe('context_overflow');
    cache.release();
    await runner.close();
  });

  test('refuses everything after close, and close may be called twice', async () => {
    const runner = await open(runtime, 'tiny-target');
    const cache = runner.createCache(4);
    await pass(runner, cache, 0, someIds(3));
    await Promise.all([runner.close(), runner.close()]);
    expect(await codeOf(pass(runner, cache, 3, someIds(1)))).toBe('closed');
    expect(() => runner.createCache(4)).toThrow(/closed/);
    cache.release();
  });

  test('close waits for the pass under way', async () => {
    const runner = await open(runtime, 'tiny-target');
    const cache = runner.createCache(512);
    const underWay = pass(runner, cache, 0, someIds(500));
    const closing = runner.close();
    expect((await underWay).logits.every(Number.isFinite)).toBe(true);
    await closing;
  });

  test('a cache that a pass uses cannot be released or used twice', async () => {
    const runner = await open(runtime, 'tiny-target');
    const cache = runner.createCache(512);
    const underWay = pass(runner, cache, 0, someIds(500));
    expect(() => cache.release()).toThrow(/while a pass uses it/);
    expect(() => cache.ensureCapacity(512, 0)).toThrow(/while a pass uses it/);
    expect(await codeOf(pass(runner, cache, 0, someIds(1)))).toMatch(/while a pass uses it/);
    await underWay;
    cache.release();
    cache.release();
    await runner.close();
  });

  test('a cache of another runner is refused', async () => {
    const [one, other] = [await open(runtime, 'tiny-target'), await open(runtime, 'tiny-draft')];
    const cache = one.createCache(4);
    expect(await codeOf(pass(other, cache, 0, someIds(1)))).toMatch(/another runner/);
    cache.release();
    await one.close();
    await other.close();
  });
});
