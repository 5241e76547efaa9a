/** A pool over time: who is asked first, who is passed over and for how long, who comes back, who leaves. */
import { PeerError } from '@forerunner/service-kit';
import { describe, expect, it, vi } from 'vitest';
import type { TargetReplica } from '../../src/pair/target-sequence.ts';
import { toyModel } from '../toy-peers.ts';
import { hideCard, showCard, ToyPools, toyPeers } from '../toy-pools.ts';

const DIGEST = 'd'.repeat(64);
const fresh = (key: string) => ({ current: null, key: () => key });
const lost = new PeerError('unreachable', 'ECONNRESET');

async function poolOf(count: number) {
  const peers = toyPeers('target-service', count);
  const pools = new ToyPools(peers);
  await pools.check();
  await pools.check(60_000); // nobody starts slowly any more
  const orderOf = (key: string, current: TargetReplica | null = null) => [
    ...pools.targets.candidates(DIGEST, { current, key: () => key }),
  ];
  const replicaOf = (peer: number) => pools.targets.replicas.find(({ name }) => name === peers[peer]!.url)!;
  return { pools, peers, pool: pools.targets, orderOf, replicaOf };
}

/** Calls of a replica that were answered, with this way there and back. */
async function answerCalls(replica: TargetReplica, tripMs: number, { count = 20, numNewTokens = 1 } = {}) {
  vi.useFakeTimers({ toFake: ['performance'], now: 0 });
  try {
    for (let i = 0; i < count; i++) {
      const signal = new AbortController().signal;
      await replica.call({ signal, numNewTokens }, async () => {
        vi.advanceTimersByTime(tripMs + 5);
        return { timing: { queue_ms: 1, model_ms: 3, total_ms: 5 } };
      });
      replica.succeed();
    }
  } finally {
    vi.useRealTimers();
  }
}

describe('the replicas of a pool', () => {
  it('get each text by its prefix: one prefix always goes to one replica, many to all of them', async () => {
    const { orderOf } = await poolOf(3);
    const firsts = Array.from({ length: 30 }, (_, i) => orderOf(`prefix ${i}`)[0]!.name);
    expect(new Set(firsts).size).toBe(3);
    expect(Array.from({ length: 30 }, (_, i) => orderOf(`prefix ${i}`)[0]!.name)).toEqual(firsts);
  });

  it('pass a prefix on while the replica that holds it has more than its share of work', async () => {
    const { orderOf, pool } = await poolOf(2);
    const [own, other] = orderOf('hot') as [TargetReplica, TargetReplica];
    for (let i = 0; i < 5; i++) pool.move(null, own);
    expect(orderOf('hot')).toEqual([own, other]); // a mean of 2.5 allows 5
    pool.move(null, own);
    expect(orderOf('hot')).toEqual([other, own]);
    pool.leave(own);
    expect(orderOf('hot')).toEqual([own, other]);
  });

  it('keep an answer, also while they fail others; not when nothing is heard from them', async () => {
    const { pools, peers, orderOf, replicaOf } = await poolOf(3);
    for (let i = 0; i < 3; i++) expect(orderOf('any', replicaOf(i))[0]).toBe(replicaOf(i));
    replicaOf(1).report(lost);
    expect(orderOf('any', replicaOf(1))[0]).toBe(replicaOf(1));
    hideCard(peers[1]!);
    await pools.check(1000);
    expect(orderOf('any', replicaOf(1))[0]).toBe(replicaOf(1));
    await pools.check(1000);
    expect(orderOf('any', replicaOf(1))).toHaveLength(2);
    expect(orderOf('any', replicaOf(1))).not.toContain(replicaOf(1));
    for (const peer of peers) hideCard(peer);
    for (let i = 0; i < 2; i++) await pools.check(1000);
    expect(orderOf('any', replicaOf(1))).toHaveLength(3); // nobody is heard: all may be asked
  });

  it('are left out while they have another model; one that never answered may be asked, at last', async () => {
    const peers = toyPeers('target-service', 4);
    peers[2]!.modelDigest = 'e'.repeat(64);
    hideCard(peers[3]!);
    const pools = new ToyPools(peers);
    await pools.check();
    for (const key of ['a', 'b', 'c', 'd']) {
      const names = [...pools.targets.candidates(DIGEST, fresh(key))].map(({ name }) => name);
      expect(names.toSorted()).toEqual([0, 1, 3].map((i) => peers[i]!.url));
      expect(names.at(-1)).toBe(peers[3]!.url);
    }
    const refused = pools.targets.replicas[2]!;
    expect(refused.state).toBe('refused');
    expect(refused.refusal).toMatch(
      /serve different models: .*dddddddddddd.*-service-0 and .*eeeeeeeeeeee.*-service-2/,
    );
    expect(pools.logger.error).toHaveBeenCalledTimes(1);
    peers[2]!.modelDigest = DIGEST;
    await pools.check(1000);
    expect(refused.state).toBe('serving');
  });

  it('come last for a while after a failure, twice as long after the next', async () => {
    const { orderOf, pools } = await poolOf(2);
    const [own, other] = orderOf('a') as [TargetReplica, TargetReplica];
    for (const pauseMs of [250, 500, 1000]) {
      own.tryEnter();
      own.report(lost);
      expect(orderOf('a')).toEqual([other, own]);
      pools.clock.now += pauseMs - 1;
      expect(orderOf('a')).toEqual([other, own]);
      pools.clock.now += 1;
      expect(orderOf('a')).toEqual([own, other]);
    }
    own.tryEnter();
    expect(orderOf('a')).toEqual([other, own]); // somebody tries it already
    own.succeed();
    expect(orderOf('a')).toEqual([own, other]);
  });

  it('are all tried when all of them fail', async () => {
    const { orderOf, pool } = await poolOf(3);
    for (const replica of pool.replicas) replica.report(lost);
    expect(orderOf('a')).toHaveLength(3);
  });

  it('start slowly when they come back', async () => {
    const { pools, peers, replicaOf } = await poolOf(2);
    expect(replicaOf(0).weight).toBe(1);
    hideCard(peers[0]!);
    await pools.check(1000);
    expect(replicaOf(0).state).toBe('failing');
    showCard(peers[0]!);
    await pools.check(1000);
    expect([replicaOf(0).state, replicaOf(0).weight]).toEqual(['serving', 0.1]);
    pools.clock.now += 7500;
    expect(replicaOf(0).weight).toBe(0.5);
  });

  it('are alive while they answer calls, though too busy to show their cards', async () => {
    const { pools, peers, replicaOf } = await poolOf(2);
    hideCard(peers[0]!);
    await pools.check(1000);
    await answerCalls(replicaOf(0), 1, { count: 1 });
    await pools.check(1000);
    expect(replicaOf(0).isSilent).toBe(false);
    await pools.check(1000);
    expect(replicaOf(0).isSilent).toBe(true);
  });
});

describe('ejection', () => {
  it('takes a slow replica out for a while, longer each time, and what works on it stays', async () => {
    const { pools, pool, replicaOf, orderOf } = await poolOf(3);
    for (const forMs of [5000, 10_000, 20_000]) {
      for (const i of [0, 1, 2]) await answerCalls(replicaOf(i), i === 1 ? 200 : 2);
      await pools.check();
      expect(pool.replicas.map(({ state }) => state)).toEqual(['serving', 'ejected', 'serving']);
      expect(orderOf('a').at(-1)).toBe(replicaOf(1));
      expect(orderOf('a', replicaOf(1))[0]).toBe(replicaOf(1));
      pools.clock.now += forMs - 1;
      expect(replicaOf(1).state).toBe('ejected');
      pools.clock.now += 1;
      expect([replicaOf(1).state, replicaOf(1).weight]).toEqual(['serving', 0.1]);
    }
    expect(pools.events.ejected.mock.calls).toEqual(Array(3).fill(['target', 'latency']));
  });

  it('forgets what a replica did long ago', async () => {
    const { pools, replicaOf } = await poolOf(2);
    for (const i of [0, 1]) await answerCalls(replicaOf(i), i * 200);
    await pools.check(31_000);
    expect(replicaOf(1).state).toBe('serving');
  });

  it('never acts on a replica that is alone, nor on the time that prompts take', async () => {
    const alone = await poolOf(1);
    await answerCalls(alone.replicaOf(0), 5000);
    await alone.pools.check();
    expect(alone.replicaOf(0).state).toBe('serving');
    const { pools, replicaOf } = await poolOf(2);
    await answerCalls(replicaOf(0), 2);
    await answerCalls(replicaOf(1), 5000, { numNewTokens: 2000 });
    await pools.check();
    expect(replicaOf(1).state).toBe('serving');
  });

  it('takes out who fails every third call, though it answers in between', async () => {
    const { pools, replicaOf } = await poolOf(3);
    for (const i of [0, 1]) await answerCalls(replicaOf(i), 2);
    for (let i = 0; i < 10; i++) {
      replicaOf(2).report(lost);
      await answerCalls(replicaOf(2), 2, { count: 2 });
    }
    await pools.check();
    expect(replicaOf(2).state).toBe('ejected');
    expect(pools.events.ejected).toHaveBeenCalledExactlyOnceWith('target', 'failures');
  });
});

describe('members of a pool', () => {
  it('join and leave while it serves; who leaves ends the answers that work there', async () => {
    const { pools, peers, pool, replicaOf, orderOf } = await poolOf(2);
    const [first, second] = [replicaOf(0), replicaOf(1)];
    const close = vi.spyOn(first.client, 'close');
    pool.move(null, first);
    const third = toyPeers('target-service', 3)[2]!;
    pools.members.target.peers = [peers[1]!, third];
    await pools.check(1000);
    expect(pool.replicas.map(({ name }) => name)).toEqual([second.name, third.url]);
    expect(pool.all.map(({ state }) => state)).toEqual(['serving', 'serving', 'leaving']);
    expect(orderOf('a')).not.toContain(first);
    expect(orderOf('a', first)[0]).toBe(first);
    expect(close).not.toHaveBeenCalled();
    pool.leave(first);
    expect(close).toHaveBeenCalledOnce();
    expect(pool.all).toHaveLength(2);
  });

  it('that come back while answers still work there are the same as before', async () => {
    const { pools, peers, pool, replicaOf } = await poolOf(2);
    const first = replicaOf(0);
    pool.move(null, first);
    pools.members.target.peers = [peers[1]!];
    await pools.check(1000);
    expect(first.state).toBe('leaving');
    pools.members.target.peers = peers;
    await pools.check(1000);
    expect([first.state, replicaOf(0)]).toEqual(['serving', first]);
  });

  it('that nobody can find make it not ready, and the reason says so', async () => {
    const pools = new ToyPools([]);
    pools.members.target.problem = 'http://targets: ENOTFOUND';
    await pools.check();
    expect(pools.monitor.readiness).toEqual({ ready: false, reason: 'http://targets: ENOTFOUND' });
  });
});

describe('calls under way', () => {
  const never = () => new Promise<never>(() => {});
  const callOn = (replica: TargetReplica, signal = new AbortController().signal) =>
    replica.call({ signal, numNewTokens: 1 }, (own) =>
      Promise.race([
        never(),
        new Promise<never>((_, reject) => own.addEventListener('abort', () => reject(own.reason))),
      ]),
    );

  it('of a silent replica are given up where others answer', async () => {
    const { pools, peers, replicaOf } = await poolOf(2);
    const failure = callOn(replicaOf(0)).catch((error: unknown) => error);
    hideCard(peers[0]!);
    await pools.check(1000);
    await pools.check(1000);
    expect(await failure).toMatchObject({ name: 'PeerError', kind: 'timeout' });
  });

  it('go on where nobody answers: it may be the network, or this process', async () => {
    const { pools, peers, replicaOf } = await poolOf(2);
    let hasFailed = false;
    callOn(replicaOf(0)).catch(() => {
      hasFailed = true;
    });
    for (const peer of peers) hideCard(peer);
    for (let i = 0; i < 5; i++) await pools.check(1000);
    expect(hasFailed).toBe(false);
  });

  it('end with the reason of the caller', async () => {
    const { replicaOf } = await poolOf(1);
    const caller = new AbortController();
    const failure = callOn(replicaOf(0), caller.signal).catch((error: unknown) => error);
    caller.abort(new Error('gone'));
    expect(await failure).toMatchObject({ message: 'gone' });
  });
});

describe('drafts', () => {
  async function drafting(count: number) {
    const peers = toyPeers('draft-service', count, toyModel(1, 3));
    const pools = new ToyPools(toyPeers('target-service', 1), peers);
    await pools.check();
    return { pools, peers, drafts: pools.drafts };
  }

  it('are used while one of them answers, and another one takes over at once', async () => {
    const { drafts, pools } = await drafting(2);
    const first = drafts.enter(fresh('a'))!;
    drafts.report(first, lost);
    const second = drafts.enter({ ...fresh('a'), current: first })!;
    expect(second).not.toBe(first);
    expect(drafts.isAvailable).toBe(true);
    drafts.report(second, lost);
    expect([drafts.enter({ ...fresh('a'), current: second }), drafts.isAvailable]).toEqual([null, false]);
    pools.clock.now += 250;
    expect(drafts.enter(fresh('a'))).not.toBeNull();
    expect(drafts.enter(fresh('a'))).not.toBeNull(); // one caller for each of them
    expect(drafts.enter(fresh('a'))).toBeNull();
  });

  it('of two kinds of weights are not mixed, and the reason names both', async () => {
    const { drafts, pools, peers } = await drafting(3);
    peers[1]!.modelDigest = 'e'.repeat(64);
    await pools.check(1000);
    const refused = drafts.pool.replicas[1]!;
    expect(refused.refusal).toMatch(/^draft replicas serve different models: .*dddddddddddd.* and .*eeeeeeeeeeee/);
    for (let i = 0; i < 20; i++) expect(drafts.enter(fresh(`${i}`))).not.toBe(refused);
    expect(pools.monitor.mismatch).toBeNull();
  });

  it('of two kinds of weights from the start are none, and refuse the start', async () => {
    const peers = toyPeers('draft-service', 2);
    peers[1]!.modelDigest = 'e'.repeat(64);
    const pools = new ToyPools(toyPeers('target-service', 1), peers);
    await pools.check();
    expect(pools.monitor.mismatch).toMatch(
      /^draft replicas serve different models: .*dddddddddddd.* and .*eeeeeeeeeeee/,
    );
    expect([pools.drafts.card, pools.drafts.enter(fresh('a'))]).toEqual([null, null]);
    expect(pools.monitor.readiness).toEqual({ ready: true }); // the target alone answers
  });

  it('that are silent are not asked, nor waited for', async () => {
    const { drafts, pools, peers } = await drafting(1);
    hideCard(peers[0]!);
    await pools.check(1000);
    expect(drafts.isAvailable).toBe(true);
    await pools.check(1000);
    expect([drafts.enter(fresh('a')), drafts.isAvailable]).toEqual([null, false]);
    expect(drafts.card).not.toBeNull();
    showCard(peers[0]!);
    await pools.check(1000);
    expect(drafts.enter(fresh('a'))).not.toBeNull();
  });
});
