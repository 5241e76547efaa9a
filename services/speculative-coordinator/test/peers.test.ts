import { PROTOCOL_VERSION, TokenPrefix } from '@forerunner/protocol';
import { PeerError } from '@forerunner/service-kit';
import { describe, expect, it } from 'vitest';
import { Admission } from '../src/admission.ts';
import { Breaker } from '../src/pair/breaker.ts';
import { findMismatch, findWarning } from '../src/pair/fit.ts';
import { TargetReplicas } from '../src/pair/target-replicas.ts';
import { TargetSequence } from '../src/pair/target-sequence.ts';
import { ToyPeer, toyCard, toyModel } from './toy-peers.ts';
import { sampling } from './toy-trio.ts';

describe('the deadline of a call of the target', () => {
  /** Milliseconds that a target with 60 s is given for prompts of these lengths, and for the round after each. */
  async function deadlinesFor(numTokens: number): Promise<readonly number[]> {
    const target = new ToyPeer('target-service', toyModel(1, 3));
    const sequence = new TargetSequence(new TargetReplicas([target]), {
      requestId: 'r',
      signal: new AbortController().signal,
      cacheScope: '',
      onTraffic: () => {},
      timeoutMs: 60_000,
      modelDigest: 'd'.repeat(64),
    });
    const committed = new TokenPrefix();
    committed.append(new Int32Array(numTokens).fill(3));
    const call = {
      committed,
      draftTokenIds: new Int32Array(),
      wanted: { rows: 'argmax' as const },
      numRows: 1,
      sampling: sampling({ temperature: 0 }),
    };
    await sequence.score(call);
    committed.append([5]);
    await sequence.score({ ...call, draftTokenIds: Int32Array.of(1, 2, 3) });
    return target.deadlinesMs;
  }

  it('grows with what it is sent: a prompt takes many passes, a round takes one', async () => {
    expect(await deadlinesFor(1024)).toEqual([120_000, 60_235]);
    expect(await deadlinesFor(61_440)).toEqual([61 * 60_000, 60_235]);
  });
});

describe('a pair', () => {
  const target = toyCard('target-service');
  const draft = toyCard('draft-service');

  it('fits when the tokenizers agree in content', () => {
    expect(findMismatch(draft, target)).toBeNull();
  });

  it.each([
    [
      'another tokenizer of the same width',
      { tokenizer_fingerprint: 'e'.repeat(64) },
      /"toy-draft-service".*"toy-target-service".*tokenizers/,
    ],
    ['a wider vocabulary', { vocab_size: 17 }, /vocabulary of 17/],
    ['another protocol', { protocol_version: PROTOCOL_VERSION + 1 }, /protocol version 4/],
    [
      'hidden states that the target does not offer',
      { hidden_states_wanted: { name: 'hidden_states', width: 8, dtype: 'float16' as const, target_digest: null } },
      /offers no hidden states/,
    ],
  ])('does not fit with %s, and the reason names both sides', (_what, change, reason) => {
    expect(findMismatch({ ...draft, ...change }, target)).toMatch(reason);
  });

  it('fits, with a warning, when the draft was trained on the hidden states of another target', () => {
    const offer = { name: 'hidden_states', width: 8, dtype: 'float16' as const };
    const offering = { ...target, hidden_states_offered: offer };
    const wanting = (target_digest: string) => ({ ...draft, hidden_states_wanted: { ...offer, target_digest } });
    expect(findMismatch(wanting('a'.repeat(64)), offering)).toBeNull();
    expect(findWarning(wanting('a'.repeat(64)), offering)).toMatch(/trained on the hidden states of another target/);
    expect(findWarning(wanting(offering.model_digest), offering)).toBeNull();
  });
});

describe('the breaker', () => {
  function breakerAt() {
    const clock = { now: 0 };
    return { clock, breaker: new Breaker({ firstPauseMs: 100, longestPauseMs: 1000, now: () => clock.now }) };
  }

  it('lets one caller at a time try after a pause, and everybody after its success', () => {
    const { clock, breaker } = breakerAt();
    expect(breaker.tryEnter()).toBe(true);
    breaker.fail();
    expect(breaker.tryEnter()).toBe(false);
    clock.now = 101;
    expect([breaker.tryEnter(), breaker.tryEnter()]).toEqual([true, false]);
    breaker.succeed();
    expect([breaker.tryEnter(), breaker.tryEnter()]).toEqual([true, true]);
  });

  it('doubles its pause up to a limit, once per failure and not once per caller', () => {
    const { clock, breaker } = breakerAt();
    const pauses: number[] = [];
    for (let i = 0; i < 6; i++) {
      breaker.fail();
      breaker.fail(); // a second caller that was under way
      const start = clock.now;
      while (!breaker.tryEnter()) clock.now += 1;
      pauses.push(clock.now - start);
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1000, 1000]);
  });

  it('ends its pause at news of the draft', () => {
    const { breaker } = breakerAt();
    breaker.fail();
    breaker.endPause();
    expect([breaker.tryEnter(), breaker.tryEnter()]).toEqual([true, false]);
  });

  it('lets the next one try when a trial tells nothing', () => {
    const { clock, breaker } = breakerAt();
    breaker.fail();
    clock.now = 101;
    breaker.tryEnter();
    breaker.abandon();
    expect(breaker.tryEnter()).toBe(true);
  });
});

const DIGEST = 'd'.repeat(64);

describe('replicas of the target', () => {
  const peerAt = (index: number) => new ToyPeer('target-service', toyModel(1, 1), `toy://${index}`);
  const replicasOf = (count: number) => new TargetReplicas(Array.from({ length: count }, (_, index) => peerAt(index)));
  const fresh = (key: string) => ({ current: null, key });

  it('get each text by its prefix: one prefix always goes to one replica, many to all of them', () => {
    const replicas = replicasOf(3);
    const firstOf = (i: number) => replicas.candidates(DIGEST, fresh(`prefix ${i}`))[0];
    const firsts = Array.from({ length: 30 }, (_, i) => firstOf(i));
    expect(new Set(firsts)).toEqual(new Set([0, 1, 2]));
    expect(Array.from({ length: 30 }, (_, i) => firstOf(i))).toEqual(firsts);
  });

  it('pass a prefix on while the replica that holds it has more than its share of work', () => {
    const replicas = replicasOf(2);
    const [own, other] = replicas.candidates(DIGEST, fresh('hot')) as [number, number];
    for (let i = 0; i < 3; i++) replicas.enter(own); // a mean of 1.5 allows 3
    expect(replicas.candidates(DIGEST, fresh('hot'))).toEqual([own, other]);
    replicas.enter(own);
    replicas.enter(own); // a mean of 2.5 allows 5
    replicas.enter(own); // 6 of 6: a mean of 3 allows 5
    expect(replicas.candidates(DIGEST, fresh('hot'))).toEqual([other, own]);
    replicas.leave(own);
    expect(replicas.candidates(DIGEST, fresh('hot'))).toEqual([own, other]);
  });

  it('keep a request on its own', () => {
    for (let current = 0; current < 3; current++) {
      const candidates = replicasOf(3).candidates(DIGEST, { current, key: 'any' });
      expect(candidates[0]).toBe(current);
      expect(candidates.toSorted()).toEqual([0, 1, 2]);
    }
  });

  it('are left out while they have another model; one that has not answered may be asked', async () => {
    const [own, other, silent] = [0, 1, 2].map(peerAt);
    other!.modelDigest = 'e'.repeat(64);
    silent!.getJson = async () => {
      throw new PeerError('unreachable', 'ECONNREFUSED');
    };
    const replicas = new TargetReplicas([own!, other!, silent!]);
    await replicas.refresh();
    for (const key of ['a', 'b', 'c', 'd']) {
      expect(replicas.candidates(DIGEST, { current: 1, key }).toSorted()).toEqual([0, 2]);
    }
    other!.modelDigest = DIGEST;
    await replicas.refreshCard(1);
    const candidates = replicas.candidates(DIGEST, { current: 1, key: 'a' });
    expect(candidates[0]).toBe(1);
    expect(candidates.toSorted()).toEqual([0, 1, 2]);
  });

  it('come last for a while after a failure', () => {
    const replicas = replicasOf(2);
    const [own, other] = replicas.candidates(DIGEST, fresh('a')) as [number, number];
    replicas.reportFailure(own);
    expect(replicas.candidates(DIGEST, fresh('a'))).toEqual([other, own]);
    expect(replicas.candidates(DIGEST, { current: own, key: 'a' })).toEqual([own, other]);
    replicas.reportSuccess(own);
    expect(replicas.candidates(DIGEST, fresh('a'))).toEqual([own, other]);
  });
});

describe('admission', () => {
  const never = new AbortController().signal;

  it('admits in order of arrival and refuses what exceeds the waiting room', async () => {
    const admission = new Admission({ maxRunning: 1, maxWaiting: 2 });
    const leaveFirst = await admission.enter(never);
    const order: string[] = [];
    const second = admission.enter(never).then((leave) => {
      order.push('second');
      leave();
    });
    const third = admission.enter(never).then((leave) => {
      order.push('third');
      leave();
    });
    await expect(admission.enter(never)).rejects.toMatchObject({ code: 'overloaded', status: 429 });
    leaveFirst();
    leaveFirst(); // giving back twice changes nothing
    await Promise.all([second, third]);
    expect(order).toEqual(['second', 'third']);
    expect([admission.numRunning, admission.numWaiting]).toEqual([0, 0]);
  });

  it('forgets who went away while waiting', async () => {
    const admission = new Admission({ maxRunning: 1, maxWaiting: 1 });
    const leave = await admission.enter(never);
    const controller = new AbortController();
    const waiting = admission.enter(controller.signal);
    controller.abort(new PeerError('unreachable', 'gone'));
    await expect(waiting).rejects.toThrow('gone');
    expect(admission.numWaiting).toBe(0);
    leave();
    expect(admission.numRunning).toBe(0);
  });
});
