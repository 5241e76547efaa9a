/**
 * Many clients that append, go back, give up, free and collide at random on a budget that is too small for them, over a
 * runner that complains about every misuse. Whatever happens, a row that is given out must be the row of that text.
 */
import { TokenPrefix } from '@forerunner/protocol';
import { expect, it } from 'vitest';
import { Engine } from '../src/engine.ts';
import { EngineError, type EngineErrorCode } from '../src/errors.ts';
import { randomFrom } from './seeded-random.ts';
import { BYTES_PER_TOKEN, rowAfter, ToyRunner, VOCAB } from './toy-runner.ts';

const NUM_CLIENTS = 8;
const NUM_REQUESTS = 400; // of each client
const CONTEXT = 96;

it.each([
  [1, true],
  [2, true],
  [3, true],
  [4, false],
])('gives only right rows under random use (seed %i, prefixes cached: %s)', async (seed, sharesPrefixes) => {
  const runner = new ToyRunner(CONTEXT);
  const engine = await Engine.on(runner, {
    minRows: 2,
    maxBatchItems: 4,
    maxPassTokens: 12,
    kvBudgetBytes: 4 * CONTEXT * BYTES_PER_TOKEN, // room for half of the clients
    idleTtlMs: 60_000,
    sharesPrefixes,
    prefillChunkTokens: 7,
    maxRequests: NUM_CLIENTS - 1,
  });
  let mostPrefixes = 0;
  const outcomes = new Map<EngineErrorCode | 'rows' | 'reused', number>();
  const count = (what: EngineErrorCode | 'rows' | 'reused') => outcomes.set(what, (outcomes.get(what) ?? 0) + 1);

  await Promise.all(Array.from({ length: NUM_CLIENTS }, (_, client) => behave(randomFrom(1000 * seed + client))));

  async function behave(random: (below: number) => number): Promise<void> {
    let text: number[] = [];
    let cached = 0;
    for (let i = 0; i < NUM_REQUESTS; i++) {
      const id = `s-${random(5)}`; // fewer names than clients: they get in each other's way
      if (random(40) === 0) engine.freeSequence(id);
      if (random(4) === 0) text = text.slice(0, random(text.length + 1));
      if (text.length > CONTEXT - 20 || random(25) === 0) text = Array.from({ length: 20 }, (_, at) => at % VOCAB);
      text = [...text, ...Array.from({ length: 1 + random(12) }, () => random(VOCAB))];
      const position = Math.min(cached, random(3) === 0 ? random(text.length) : text.length - 1);
      const rows = await ask(id, text, position, random);
      const { kvBytes, kvBudgetBytes, cachedPrefixBytes, numCachedPrefixes } = engine.takeStats();
      const isExact = kvBytes === runner.bytesInUse && kvBytes <= kvBudgetBytes; // to the byte
      const isPlausible =
        cachedPrefixBytes > 0 === numCachedPrefixes > 0 && (sharesPrefixes || numCachedPrefixes === 0);
      if (!isExact || !isPlausible) throw new Error(`${kvBytes} bytes are counted, ${runner.bytesInUse} are held`);
      mostPrefixes = Math.max(mostPrefixes, numCachedPrefixes);
      cached = rows instanceof EngineError ? Number(rows.details.cached_length ?? 0) : text.length;
    }
  }

  async function ask(id: string, text: number[], position: number, random: (below: number) => number) {
    const prefix = new TokenPrefix();
    prefix.append(text.slice(0, position));
    const tokenIds = Int32Array.from(text.slice(position));
    const numRows = random(tokenIds.length + 1);
    const abort = new AbortController();
    if (random(6) === 0) setImmediate(() => abort.abort());
    const prefixDigest = prefix.digestAt(position);
    const numReusable = tokenIds.length - numRows;
    const acquire = { sequenceId: id, position, prefixDigest, scope: '', tokenIds, numReusable, signal: abort.signal };
    try {
      return await engine.run(acquire, async (lease) => {
        if (lease.numReusedTokens > 0) count('reused');
        await lease.append(tokenIds.subarray(lease.numReusedTokens), {
          numLogitRows: numRows,
          onLogits: (part, first) => {
            for (let i = 0; i < part.length / VOCAB; i++) {
              const length = text.length - numRows + first + i + 1;
              const expected = Float32Array.from(rowAfter(text.slice(0, length)));
              if (!expected.every((x, v) => x === part[i * VOCAB + v])) throw new Error(`a wrong row after ${length}`);
              count('rows');
            }
          },
        });
        expect(lease.length).toBe(text.length);
        return true;
      });
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      count(error.code);
      return error;
    }
  }

  const { numRequests, queueDepth, numEvictions, prefixCacheTokens } = engine.takeStats();
  expect([numRequests, queueDepth, runner.numUnreleased]).toEqual([0, 0, 0]);
  expect(numEvictions.budget).toBeGreaterThan(0);
  expect([mostPrefixes > 1, numEvictions.cached_prefix > 10]).toEqual([sharesPrefixes, sharesPrefixes]);
  expect(prefixCacheTokens.hits > 400).toBe(sharesPrefixes);
  expect(prefixCacheTokens.queries > prefixCacheTokens.hits).toBe(sharesPrefixes);
  // The test is worth something only if all of this really happened.
  for (const what of ['rows', 'reused', 'sequence_mismatch', 'aborted', 'overloaded'] as const) {
    expect([what, (outcomes.get(what) ?? 0) > 10]).toEqual([what, true]);
  }
  expect([...outcomes.keys()].filter((code) => code === 'model_failed' || code === 'closed')).toEqual([]);
  await engine.close();
  expect(engine.takeStats()).toMatchObject({ numSequences: 0, kvBytes: 0 });
  expect(runner.bytesInUse).toBe(0);
});
