/**
 * Graphs without GroupQueryAttention, as Optimum writes them: past and present are joined by Concat, so they cannot share
 * memory. contract.test.ts has what they promise like all others.
 */
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import type { KvCache, ModelRunner } from '../../src/index.ts';
import { abortedOnceHeard, argmax, codeOf, largestDifference, open, pass, row, sameBits, someIds } from './fixtures.ts';
import { plainModelDir } from './plain-graph.ts';

describe('a graph with plain attention', () => {
  const dir = plainModelDir('tiny-target');
  afterAll(() => rmSync(dir, { recursive: true }));

  /** Prompt, steps with growth, a rollback, a fork that both sides of write: the logits of every pass. */
  async function logitsOf(runner: ModelRunner): Promise<Float32Array[]> {
    const all: Float32Array[] = [];
    const say = async (cache: KvCache, numPast: number, ids: Int32Array) =>
      all.push((await pass(runner, cache, numPast, ids)).logits);
    const cache = runner.createCache(8);
    await say(cache, 0, someIds(20));
    for (let i = 0; i < 60; i++) await say(cache, 20 + i, someIds(1, i));
    await say(cache, 13, someIds(9, 300));
    const fork = cache.fork(13);
    await say(fork, 13, someIds(4, 77));
    await say(cache, 22, someIds(5, 400));
    await say(fork, 13, someIds(4, 77));
    cache.release();
    fork.release();
    return all;
  }

  test('says what the grouped one says, to the same bit on both runtimes', async () => {
    const runners = [
      await open('native', 'tiny-target', { modelDir: dir, runtime: 'auto' }),
      await open('node', 'tiny-target', { modelDir: dir }),
      await open('native', 'tiny-target'),
    ] as const;
    expect(runners.map(({ description }) => description.runtime)).toEqual(['native', 'node', 'native']);
    const [native, node, grouped] = [
      await logitsOf(runners[0]),
      await logitsOf(runners[1]),
      await logitsOf(runners[2]),
    ];
    for (const [i, logits] of native.entries()) {
      expect(sameBits(logits, node[i]!), `pass ${i}`).toBe(true);
      expect(largestDifference(logits, grouped[i]!)).toBeLessThan(1e-4);
      const numRows = logits.length / 1024;
      for (let r = 0; r < numRows; r++) {
        expect(argmax(row(logits, 1024, r))).toBe(argmax(row(grouped[i]!, 1024, r)));
      }
    }
    expect(sameBits(native.at(-1)!, native.at(-3)!)).toBe(true);
    for (const runner of runners) await runner.close();
  });

  test('a pass that is cancelled leaves what it built on, also for a fork', async () => {
    const runner = await open('native', 'tiny-target', { modelDir: dir });
    const cache = runner.createCache(500);
    await pass(runner, cache, 0, someIds(8));
    const fork = cache.fork(6);
    const item = { cache, numPastTokens: 5, tokenIds: someIds(480, 9), numLogitRows: 1 };
    const abort = new AbortController();
    const halfway = codeOf(runner.forward([item], abort.signal));
    setImmediate(() => abort.abort());
    expect(await halfway).toMatch(/^(aborted|no error)$/); // on a busy host the pass may be over by then
    expect(await codeOf(runner.forward([item], abortedOnceHeard()))).toBe('aborted');
    expect(await codeOf(pass(runner, cache, 6, someIds(1)))).toMatch(/holds 5 tokens/);
    const fresh = runner.createCache(20);
    await pass(runner, fresh, 0, someIds(8));
    const [expected, ofCache] = [await pass(runner, fresh, 5, someIds(3)), await pass(runner, cache, 5, someIds(3))];
    expect(sameBits(ofCache.logits, expected.logits)).toBe(true);
    expect(sameBits((await pass(runner, fork, 5, someIds(3))).logits, expected.logits)).toBe(true);
    for (const each of [cache, fork, fresh]) each.release();
    await runner.close();
  });

  test('is not batched', async () => {
    const runner = await open('native with batches', 'tiny-target', { modelDir: dir });
    const caches = [runner.createCache(8), runner.createCache(8)];
    expect(runner.maxSequences).toBe(1);
    const items = caches.map((cache) => ({ cache, numPastTokens: 0, tokenIds: someIds(3), numLogitRows: 1 }));
    const { outputs, release } = await runner.forward(items);
    expect(sameBits(outputs[0]!.logits, outputs[1]!.logits)).toBe(true);
    release();
    for (const cache of caches) cache.release();
    await runner.close();
  });
});
