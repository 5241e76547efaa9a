/** A context is promised as far as the KV budget holds one text of that length. */
import { TokenPrefix } from '@forerunner/protocol';
import { expect, test } from 'vitest';
import { contextWithin } from '../src/context-within.ts';
import { Engine, type Fallback } from '../src/index.ts';
import { modelDir } from './runners/fixtures.ts';

/** 1 KiB a token, in blocks of 64 tokens. */
const runner = (contextLength: number) => ({
  signature: { contextLength } as never,
  cacheBytes: (numTokens: number) => 1024 * 64 * Math.ceil((numTokens + 1) / 64),
});

test('what fits is promised whole, but for the pads of a short pass', () => {
  expect(contextWithin(runner(1024), { kvBudgetBytes: 2 ** 20, minRows: 2 })).toEqual({ contextLength: 1023 });
});

test('what does not fit is cut to what the budget holds, in words and numbers', () => {
  expect(contextWithin(runner(32_768), { kvBudgetBytes: 2 ** 20, minRows: 2 })).toEqual({
    contextLength: 1023,
    fallback: {
      wanted: 'a context of 32,767 tokens',
      used: '1,023 tokens',
      reason:
        'a context of 32,767 tokens needs 32 MiB of KV cache, the budget (KV_CACHE_MB) is 1 MiB and holds one text of 1,023 tokens',
    },
  });
});

test('a budget that holds no token is an error', () => {
  expect(() => contextWithin(runner(1024), { kvBudgetBytes: 1000, minRows: 1 })).toThrow(/0.1 MiB and holds no token/);
});

test('an engine promises no more, says so, and holds a text of all that it promises', async () => {
  const warnings: unknown[] = [];
  const engine = await Engine.open({
    modelDir: modelDir('tiny-target'),
    runtime: 'native',
    executionProvider: 'cpu',
    deviceId: 0,
    numThreads: 1,
    minRows: 2,
    maxBatchItems: 1,
    maxPassTokens: 512,
    prefillChunkTokens: 512,
    kvBudgetBytes: 2 ** 17,
    idleTtlMs: 60_000,
    sharesPrefixes: true,
    maxRequests: 4,
    log: (level, _, fields) => level === 'warn' && warnings.push((fields as { fallback: Fallback }).fallback),
  });
  try {
    const { contextLength } = engine;
    expect(contextLength).toBeLessThan(engine.signature.contextLength - 1);
    expect(engine.fallbacks).toEqual([
      expect.objectContaining({ used: `${contextLength.toLocaleString('en-US')} tokens` }),
    ]);
    expect(warnings).toEqual(engine.fallbacks);
    const text = (length: number) => ({
      sequenceId: `s${length}`,
      scope: '',
      position: 0,
      prefixDigest: new TokenPrefix().digestAt(0),
      numReusable: 0,
      tokenIds: new Int32Array(length).fill(5),
    });
    const read = (length: number) =>
      engine.run(text(length), async (lease) => {
        await lease.append(new Int32Array(length).fill(5), { numLogitRows: 0 });
        return length;
      });
    expect(await read(contextLength)).toBe(contextLength);
    await expect(read(contextLength + 1)).rejects.toMatchObject({ code: 'context_overflow' });
  } finally {
    await engine.close();
  }
});
