/** What freed sequences leave: who may have it, who gets it, what goes first, and what it costs. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { AcquireRequest } from '../src/acquire-request.ts';
import { type HeldSequence, SequenceStore } from '../src/sequences.ts';
import { errorOf, ids, request } from './store-requests.ts';
import { BYTES_PER_TOKEN, ToyRunner, VOCAB } from './toy-runner.ts';

const KIB = 100 * BYTES_PER_TOKEN; // a text of a hundred tokens takes 104 of room

let runner: ToyRunner;
let store: SequenceStore;
let nowMs: number;

beforeEach(() => {
  nowMs = 0;
  runner = new ToyRunner(1000);
  store = storeWith(1e9);
});

function storeWith(budgetBytes: number, sharesPrefixes = true): SequenceStore {
  return new SequenceStore({ runner, budgetBytes, idleTtlMs: 1000, sharesPrefixes, now: () => nowMs });
}

/** A text that differs from those of other seeds at once. */
const text = (seed: number, length = 100) =>
  Int32Array.from({ length }, (_, i) => (i === 0 ? seed : seed * i + ((i * i) >> 2)) % VOCAB);
const joined = (...parts: Int32Array[]) => Int32Array.from(parts.flatMap((part) => [...part]));

/** Begins or continues a sequence with all of `tokenIds`; everything but the last token may come from a cache. */
async function hold(id: string, tokenIds: Int32Array, more: Partial<AcquireRequest> = {}): Promise<HeldSequence> {
  const held = await store.acquire(request(id, [], tokenIds, { numReusable: tokenIds.length - 1, ...more }));
  const { sequence, numReusedTokens } = held;
  store.reserve(sequence, tokenIds.length);
  const fresh = tokenIds.subarray(numReusedTokens);
  const item = { cache: sequence.cache, numPastTokens: sequence.prefix.length, tokenIds: fresh, numLogitRows: 0 };
  (await runner.forward([item])).release();
  sequence.prefix.append(fresh);
  expect(store.kvBytes).toBe(runner.bytesInUse);
  return held;
}

/** The tokens that a cache spared. */
async function send(id: string, tokenIds: Int32Array, more: Partial<AcquireRequest> = {}): Promise<number> {
  nowMs++;
  const { sequence, numReusedTokens } = await hold(id, tokenIds, more);
  store.release(sequence);
  return numReusedTokens;
}

async function sendAndFree(id: string, tokenIds: Int32Array, more: Partial<AcquireRequest> = {}): Promise<number> {
  const numReused = await send(id, tokenIds, more);
  store.delete(id);
  return numReused;
}

/** How much of a text is cached. What is not there takes room while one asks. */
async function numCached(tokenIds: Int32Array, scope = ''): Promise<number> {
  const { sequence, numReusedTokens } = await store.acquire(
    request('probe', [], joined(tokenIds, ids(0)), { numReusable: tokenIds.length, scope }),
  );
  store.release(sequence);
  store.delete('probe');
  return numReusedTokens;
}

describe('a freed sequence', () => {
  it('leaves its prefix, and no memory where prefixes are not shared', async () => {
    await sendAndFree('a', text(1));
    expect([store.numSequences, store.cachedPrefixes.count, store.kvBytes]).toEqual([0, 1, runner.cacheBytes(100)]);
    runner = new ToyRunner(1000);
    store = storeWith(1e9, false);
    await sendAndFree('a', text(1));
    expect([store.numSequences, store.cachedPrefixes.count, store.kvBytes]).toEqual([0, 0, 0]);
    expect(await send('b', text(1))).toBe(0);
    expect(await send('c', text(1))).toBe(0); // not from a living one either
    expect(store.prefixCacheTokens).toEqual({ queries: 0, hits: 0 });
  });

  it('leaves it once, however often it is freed', async () => {
    await send('a', text(1));
    expect([store.delete('a'), store.delete('a')]).toEqual([true, false]);
    expect(store.cachedPrefixes.count).toBe(1);
  });

  it('leaves nothing that is too short to be shared', async () => {
    await sendAndFree('a', text(1, 15));
    expect([store.cachedPrefixes.count, store.kvBytes]).toEqual([0, 0]);
  });

  it('leaves it when its request ends, if it was in use', async () => {
    const { sequence } = await hold('a', text(1));
    store.delete('a');
    expect([store.numSequences, store.cachedPrefixes.count]).toEqual([1, 0]);
    store.release(sequence);
    expect([store.numSequences, store.cachedPrefixes.count]).toEqual([0, 1]);
  });

  it('leaves it when its idle TTL runs out: it cannot be continued, and its text costs nothing again', async () => {
    await send('a', text(1));
    nowMs = 2000;
    store.evictExpired();
    expect(store.numEvictions).toEqual({ budget: 0, idle_ttl: 1, cached_prefix: 0 });
    const error = await errorOf(store.acquire(request('a', text(1), ids(5))));
    expect(error).toMatchObject({ code: 'sequence_mismatch', details: { cached_length: 0 } });
    expect(await send('a', joined(text(1), ids(5)))).toBe(100);
  });

  it('leaves nothing new when another one holds all of it, and replaces one whose text it continues', async () => {
    await send('a', text(1, 100));
    await send('b', text(1, 60));
    await send('c', joined(text(1, 100), text(2, 20)));
    store.delete('a');
    store.delete('b');
    expect([store.cachedPrefixes.count, store.cachedPrefixes.bytes]).toEqual([1, runner.cacheBytes(100)]);
    store.delete('c');
    expect([store.cachedPrefixes.count, store.cachedPrefixes.bytes]).toEqual([1, runner.cacheBytes(120)]);
  });

  it('leaves only what follows from the text alone', async () => {
    const { sequence } = await hold('a', text(1, 40));
    store.reserve(sequence, 60);
    const guesses = { cache: sequence.cache, numPastTokens: 40, tokenIds: text(2, 10), numLogitRows: 0 };
    (await runner.forward([guesses])).release();
    sequence.prefix.append(text(2, 10), false);
    sequence.prefix.append(text(3, 10)); // what stands behind an estimate is one
    store.release(sequence);
    const whole = joined(text(1, 40), text(2, 10), text(3, 10));
    expect(await send('b', whole)).toBe(40); // also of one that lives
    store.delete('a');
    store.delete('b');
    expect(await send('c', joined(whole, ids(1)))).toBe(60); // of b, which computed all of it
    const again = await store.acquire(request('c', text(1, 40), whole.subarray(40), { numReusable: 20 }));
    expect(again.numReusedTokens).toBe(20);
  });

  it('shares no estimates with its own later requests', async () => {
    const { sequence } = await hold('a', text(1, 40));
    sequence.prefix.append(text(2, 4), false);
    store.release(sequence);
    const { numReusedTokens } = await store.acquire(request('a', text(1, 40), text(2, 4), { numReusable: 4 }));
    expect(numReusedTokens).toBe(0);
  });
});

describe('a new text', () => {
  it('takes over the longest prefix: nothing is copied, and the cache is gone for others', async () => {
    await sendAndFree('short', text(1, 50));
    await sendAndFree('other', text(2));
    await sendAndFree('long', joined(text(1, 50), text(3, 50)));
    const { kvBytes } = store;
    expect(await send('new', joined(text(1, 50), text(3, 50), ids(4)))).toBe(100);
    expect([store.kvBytes, store.cachedPrefixes.count]).toEqual([kvBytes, 1]);
    expect(store.prefixCacheTokens).toEqual({ queries: 351, hits: 150 });
  });

  it('takes over a prefix whose tail is no longer than what is shared', async () => {
    await sendAndFree('a', joined(text(1, 60), text(2, 60)));
    expect(await send('b', joined(text(1, 60), text(3, 10)))).toBe(60);
    expect(store.cachedPrefixes.count).toBe(0);
  });

  it('copies the beginning of a much longer one, which stays', async () => {
    const long = joined(text(1, 40), text(2, 100));
    await sendAndFree('a', long);
    expect(await send('b', joined(text(1, 40), text(3, 10)))).toBe(40);
    expect(store.cachedPrefixes.count).toBe(1);
    expect(await numCached(long)).toBe(140);
  });

  it('copies from a living sequence what no freed one has', async () => {
    await sendAndFree('freed', text(1, 40));
    await send('living', text(1, 90));
    expect(await send('b', joined(text(1, 90), ids(3)))).toBe(90);
    store.release((await store.acquire(request('living', text(1, 90), ids(3)))).sequence);
  });

  it('gets nothing where it says that nothing may be reused', async () => {
    await sendAndFree('a', text(1));
    expect(await send('b', text(1), { numReusable: 0 })).toBe(0);
  });

  it('computes all of it rather than fail when there is no room for a copy', async () => {
    store = storeWith(runner.cacheBytes(100));
    await send('living', text(1));
    expect(await send('b', text(1))).toBe(0);
    expect(store.numEvictions).toEqual({ budget: 1, idle_ttl: 0, cached_prefix: 0 });
  });

  it('finds its prefix among hundreds, also where all begin alike', async () => {
    const system = text(1, 30);
    for (let i = 0; i < 300; i++)
      await sendAndFree(`s${i}`, joined(system, ids(i % 11, (i / 11) % 11, i / 121), text(i, 40)));
    expect(await send('new', joined(system, ids(7, 7, 1), text(205, 40), ids(1)))).toBe(73);
  });
});

describe('a scope', () => {
  it('keeps its prefixes to itself, by count and by what is computed', async () => {
    await sendAndFree('a', text(1), { scope: 'x' });
    await send('living', text(2), { scope: 'x' });
    for (const seed of [1, 2]) {
      const before = runner.passes.length;
      expect(await sendAndFree(`b${seed}`, text(seed), { scope: 'y' })).toBe(0);
      expect(runner.passes.slice(before).map(({ tokenIds }) => tokenIds[0]!.length)).toEqual([100]);
    }
    expect(await send('c', joined(text(1), ids(1)), { scope: 'x' })).toBe(100);
  });

  it('is not mistaken for another whose name continues it', async () => {
    await sendAndFree('a', text(1), { scope: 'x' });
    expect([await numCached(text(1), 'xy'), await numCached(text(1), '')]).toEqual([0, 0]);
  });
});

describe('memory', () => {
  it('goes from the longest unused prefix first', async () => {
    store = storeWith(3 * runner.cacheBytes(100));
    for (const seed of [1, 2, 3]) await sendAndFree(`s${seed}`, text(seed));
    expect(await sendAndFree('again', text(1, 90))).toBe(89); // now the youngest, with the text that it took over
    await sendAndFree('new', text(4));
    expect(store.numEvictions).toEqual({ budget: 0, idle_ttl: 0, cached_prefix: 1 });
    for (const seed of [1, 3, 4]) expect(await numCached(text(seed, 80))).toBe(80);
    expect(await numCached(text(2))).toBe(0);
  });

  it('goes from prefixes that were copied for others last, but not never', async () => {
    store = storeWith(4 * runner.cacheBytes(100));
    const system = text(1, 30);
    await sendAndFree('shared', joined(system, text(2, 70)));
    await sendAndFree('copy', joined(system, text(3, 10)));
    for (let seed = 4; seed < 8; seed++) await sendAndFree(`s${seed}`, text(seed));
    expect(store.numEvictions.cached_prefix).toBe(2); // the copy, and the first of the four
    expect(await numCached(joined(system, text(2, 70)))).toBe(100);
    for (let seed = 8; seed < 30; seed++) await sendAndFree(`s${seed}`, text(seed));
    expect(await numCached(system)).toBe(0);
  });

  it('goes from prefixes before sequences that live, however long those were idle', async () => {
    store = storeWith(2 * runner.cacheBytes(100));
    await send('old', text(1));
    await sendAndFree('young', text(2));
    await send('new', text(3));
    expect(store.numEvictions).toEqual({ budget: 0, idle_ttl: 0, cached_prefix: 1 });
    store.release((await store.acquire(request('old', text(1), ids(1)))).sequence);
  });

  it('can be had again in full', async () => {
    store = storeWith(10 * KIB);
    for (let seed = 0; seed < 40; seed++) await sendAndFree(`s${seed}`, text(seed, 90 + seed));
    expect(store.kvBytes).toBeLessThanOrEqual(10 * KIB);
    const held = await store.acquire(request('huge', [], text(50, 990)));
    store.reserve(held.sequence, 1000);
    expect([store.kvBytes, store.cachedPrefixes.count]).toEqual([10 * KIB, 0]);
    store.release(held.sequence);
  });

  it('is refused, with numbers and nothing evicted, when prefixes and idle sequences are not enough', async () => {
    store = storeWith(2 * runner.cacheBytes(100));
    const { sequence } = await hold('used', text(1));
    await sendAndFree('freed', text(2));
    const error = await errorOf(store.acquire(request('large', [], text(3, 110))));
    expect(error).toMatchObject({ code: 'out_of_memory', details: { budget_bytes: 2080, needed_bytes: 1120 } });
    expect(store.cachedPrefixes.count).toBe(1);
    store.release(sequence);
  });

  it('is taken from a sequence in mid-answer, which heals from its beginning', async () => {
    store = storeWith(2 * runner.cacheBytes(100));
    await send('answer', text(1, 90));
    await send('b', text(2));
    await send('c', text(3));
    const error = await errorOf(store.acquire(request('answer', text(1, 90), ids(1))));
    expect(error).toMatchObject({ code: 'sequence_mismatch', details: { cached_length: 0 } });
    expect(await send('answer', joined(text(1, 90), ids(1)))).toBe(0);
    store.release((await store.acquire(request('answer', joined(text(1, 90), ids(1)), ids(2)))).sequence);
  });

  it('is all given back when the store closes, that of a sequence in use when its request ends', async () => {
    await sendAndFree('freed', text(1));
    await send('idle', text(2));
    const { sequence } = await hold('used', text(3));
    store.close();
    expect(store.kvBytes).toBe(runner.cacheBytes(100));
    store.release(sequence);
    expect([store.numSequences, store.cachedPrefixes.count, runner.bytesInUse]).toEqual([0, 0, 0]);
  });
});

it('lets a text that was taken over and one that was copied go on independently', async () => {
  const shared = text(1, 40);
  await sendAndFree('a', joined(shared, text(2, 100)));
  await send('copy', joined(shared, text(3, 20)));
  await send('taken', joined(shared, text(2, 100), text(4, 20)));
  for (const [id, tail] of [
    ['copy', text(3, 20)],
    ['taken', joined(text(2, 100), text(4, 20))],
  ] as const) {
    const held = await store.acquire(request(id, joined(shared, tail), ids(1)));
    expect([...held.sequence.prefix.ids()]).toEqual([...shared, ...tail]);
    expect((held.sequence.cache as unknown as { tokens: number[] }).tokens).toEqual([...shared, ...tail]);
    store.release(held.sequence);
  }
});
