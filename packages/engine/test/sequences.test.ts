import { beforeEach, describe, expect, it } from 'vitest';
import { EngineError } from '../src/errors.ts';
import { type HeldSequence, SequenceStore } from '../src/sequences.ts';
import { errorOf, ids, range, request } from './store-requests.ts';
import { BYTES_PER_TOKEN, settle, ToyRunner } from './toy-runner.ts';

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

/** Appends what is new, as an engine does after its passes. */
async function cache(held: HeldSequence, tokenIds: Int32Array): Promise<void> {
  const { sequence, numReusedTokens } = held;
  store.reserve(sequence, sequence.prefix.length + tokenIds.length - numReusedTokens);
  const fresh = tokenIds.subarray(numReusedTokens);
  if (fresh.length > 0) {
    const item = { cache: sequence.cache, numPastTokens: sequence.prefix.length, tokenIds: fresh, numLogitRows: 0 };
    (await runner.forward([item])).release();
  }
  sequence.prefix.append(fresh);
}

async function store1(id: string, tokenIds: Int32Array, more = {}): Promise<number> {
  const held = await store.acquire(request(id, [], tokenIds, more));
  await cache(held, tokenIds);
  store.release(held.sequence);
  return held.numReusedTokens;
}

describe('where a request starts', () => {
  beforeEach(() => store1('a', ids(1, 2, 3, 4)));

  it('continues at the cached length', async () => {
    const { sequence } = await store.acquire(request('a', [1, 2, 3, 4], ids(5)));
    expect(sequence.prefix.length).toBe(4);
  });

  it('rolls back to an earlier position whose digest agrees', async () => {
    const { sequence } = await store.acquire(request('a', [1, 2], ids(9)));
    expect([...sequence.prefix.ids()]).toEqual([1, 2]);
  });

  it('refuses a position beyond the cache and names what is cached', async () => {
    const error = await errorOf(store.acquire(request('a', [1, 2, 3, 4, 5], ids(6))));
    expect(error).toMatchObject({ code: 'sequence_mismatch', details: { cached_length: 4 } });
  });

  it('refuses another prefix of the same length and names 0', async () => {
    const error = await errorOf(store.acquire(request('a', [1, 2, 9], ids(6))));
    expect(error).toMatchObject({ code: 'sequence_mismatch', details: { cached_length: 0 } });
  });

  it('refuses to continue an unknown sequence and names 0', async () => {
    const error = await errorOf(store.acquire(request('b', [1], ids(2))));
    expect(error).toMatchObject({ code: 'sequence_mismatch', details: { cached_length: 0 } });
  });

  it('refuses to continue a sequence of another scope', async () => {
    const error = await errorOf(store.acquire(request('a', [1, 2], ids(3), { scope: 'other' })));
    expect(error).toMatchObject({ code: 'sequence_mismatch', details: { cached_length: 0 } });
  });

  it('leaves the sequence usable after a refusal', async () => {
    await errorOf(store.acquire(request('a', [9], ids(6))));
    const { sequence } = await store.acquire(request('a', [1, 2, 3, 4], ids(5)));
    expect(sequence.prefix.length).toBe(4);
  });

  it('takes over what it holds already when a request is repeated', async () => {
    const { numReusedTokens, sequence } = await store.acquire(request('a', [1], ids(2, 3, 9), { numReusable: 3 }));
    expect(numReusedTokens).toBe(2);
    expect([...sequence.prefix.ids()]).toEqual([1, 2, 3]);
  });
});

describe('turns', () => {
  it('gives a sequence to one request at a time, in order', async () => {
    await store1('a', ids(1));
    const order: string[] = [];
    const first = await store.acquire(request('a', [1], ids(2)));
    const others = ['second', 'third'].map(async (name) => {
      const held = await store.acquire(request('a', [1], ids(2)));
      order.push(name);
      await settle();
      order.push(`${name} done`);
      store.release(held.sequence);
    });
    await settle();
    expect(order).toEqual([]);
    store.release(first.sequence);
    await Promise.all(others);
    expect(order).toEqual(['second', 'second done', 'third', 'third done']);
  });

  it('begins a sequence once when two first requests arrive together', async () => {
    const first = store.acquire(request('a', [], ids(1)));
    const second = store.acquire(request('a', [], ids(1)));
    const held = await first;
    expect(store.numSequences).toBe(1);
    await cache(held, ids(1));
    store.release(held.sequence);
    expect((await second).sequence).toBe(held.sequence);
  });

  it('lets a waiting request leave, and the next one move up', async () => {
    await store1('a', ids(1));
    const held = await store.acquire(request('a', [1], ids(2)));
    const leaving = new AbortController();
    const left = errorOf(store.acquire(request('a', [1], ids(2), { signal: leaving.signal })));
    const next = store.acquire(request('a', [1], ids(2)));
    await settle();
    leaving.abort();
    expect((await left).code).toBe('aborted');
    store.release(held.sequence);
    expect((await next).sequence).toBe(held.sequence);
  });

  it('forgets a sequence whose only request cached nothing', async () => {
    const held = await store.acquire(request('a', [], ids(1)));
    store.release(held.sequence);
    expect([store.numSequences, store.kvBytes]).toEqual([0, 0]);
  });
});

describe('deleting', () => {
  it('frees at once, and again without complaint', async () => {
    await store1('a', range(8));
    expect(store.kvBytes).toBe(8 * BYTES_PER_TOKEN);
    expect([store.delete('a'), store.delete('a'), store.delete('never there')]).toEqual([true, false, false]);
    expect([store.numSequences, store.kvBytes]).toEqual([0, 0]);
  });

  it('frees a sequence in use when its request ends', async () => {
    await store1('a', range(8));
    const held = await store.acquire(request('a', range(8), ids(1)));
    store.delete('a');
    expect([store.numSequences, store.kvBytes]).toEqual([1, 80]);
    store.release(held.sequence);
    expect([store.numSequences, store.kvBytes]).toEqual([0, 0]);
  });

  it('tells the requests that waited for it what is left: nothing', async () => {
    await store1('a', ids(1));
    const held = await store.acquire(request('a', [1], ids(2)));
    const waiting = errorOf(store.acquire(request('a', [1], ids(2))));
    await settle();
    store.delete('a');
    store.release(held.sequence);
    expect(await waiting).toMatchObject({ code: 'sequence_mismatch', details: { cached_length: 0 } });
  });

  it('lets a new sequence of the same name begin while the old one is still in use', async () => {
    await store1('a', ids(1));
    const old = await store.acquire(request('a', [1], ids(2)));
    store.delete('a');
    expect(await store1('a', ids(7, 8))).toBe(0);
    old.sequence.prefix.truncate(0); // an old request that ends with nothing must not take the new sequence along
    store.release(old.sequence);
    expect(store.numSequences).toBe(1);
    const { sequence } = await store.acquire(request('a', [7, 8], ids(9)));
    expect(sequence.prefix.length).toBe(2);
  });
});

describe('memory', () => {
  it('evicts the longest unused, and no more than needed', async () => {
    store = storeWith(3 * 8 * BYTES_PER_TOKEN);
    for (const id of ['a', 'b', 'c']) {
      nowMs++;
      await store1(id, range(8));
    }
    nowMs++;
    store.release((await store.acquire(request('a', range(8), ids(1)))).sequence);
    await store1('d', range(8));
    expect((await errorOf(store.acquire(request('b', range(8), ids(1))))).code).toBe('sequence_mismatch');
    for (const id of ['a', 'c', 'd']) store.release((await store.acquire(request(id, range(8), ids(1)))).sequence);
    expect(store.numEvictions).toEqual({ budget: 1, idle_ttl: 0, cached_prefix: 0 });
  });

  it('never evicts a sequence in use, and evicts nothing when that would not be enough', async () => {
    store = storeWith(2 * 8 * BYTES_PER_TOKEN);
    await store1('idle', range(8));
    await store1('used', range(8));
    const held = await store.acquire(request('used', range(8), ids(1)));
    const error = await errorOf(store.acquire(request('large', [], range(16))));
    expect(error.code).toBe('out_of_memory');
    expect(store.numSequences).toBe(2);
    expect(() => store.reserve(held.sequence, 24)).toThrow(EngineError);
    store.reserve(held.sequence, 16);
    expect([store.numSequences, store.kvBytes]).toEqual([1, 160]);
  });

  it('frees what nobody used for the length of the idle TTL', async () => {
    await store1('old', range(8));
    nowMs = 900;
    await store1('young', range(8));
    const held = await store.acquire(request('young', range(8), ids(1)));
    nowMs = 1001;
    store.evictExpired();
    expect([store.numSequences, store.numEvictions.idle_ttl]).toEqual([1, 1]);
    nowMs = 5000;
    store.evictExpired();
    expect(store.numSequences).toBe(1); // in use
    store.release(held.sequence);
    store.evictExpired();
    expect(store.numSequences).toBe(1); // just used
  });
});

describe('shared prefixes', () => {
  it('copies the longest that another sequence of the scope holds', async () => {
    await store1('short', range(20));
    await store1('long', range(40));
    const tokenIds = Int32Array.of(...range(30), 10, 10);
    expect(await store1('new', tokenIds, { numReusable: 31 })).toBe(30);
  });

  it('leaves as many tokens to compute as the caller needs', async () => {
    await store1('a', range(40));
    expect(await store1('b', range(40), { numReusable: 37 })).toBe(37);
  });

  it('copies nothing from another scope, from a sequence in use, or where little agrees', async () => {
    await store1('a', range(40), { scope: 'x' });
    expect(await store1('b', range(40), { numReusable: 39, scope: 'y' })).toBe(0);
    store.delete('b');
    const held = await store.acquire(request('a', range(40), ids(1), { scope: 'x' }));
    expect(await store1('c', range(40), { numReusable: 39, scope: 'x' })).toBe(0);
    store.release(held.sequence);
    store.delete('c');
    const other = Int32Array.of(...range(15), 10, 10, 10);
    expect(await store1('d', other, { numReusable: 17, scope: 'x' })).toBe(0);
  });

  it('does not evict the sequence that it copies from', async () => {
    store = storeWith(2 * 40 * BYTES_PER_TOKEN);
    await store1('donor', range(40));
    nowMs++;
    await store1('other', range(24, 5));
    expect(await store1('new', range(40), { numReusable: 39 })).toBe(39);
    expect(store.numEvictions.budget).toBe(1);
    store.release((await store.acquire(request('donor', range(40), ids(1)))).sequence);
  });

  it('lets the copy and the original go on independently', async () => {
    await store1('a', range(20));
    await store1('b', range(20), { numReusable: 19 });
    const a = await store.acquire(request('a', range(20), ids(1)));
    await cache(a, ids(1));
    const b = await store.acquire(request('b', range(20), ids(2)));
    await cache(b, ids(2));
    expect([a.sequence.prefix.ids(20)[0], b.sequence.prefix.ids(20)[0]]).toEqual([1, 2]);
  });
});
