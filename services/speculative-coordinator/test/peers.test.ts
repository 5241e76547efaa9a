import { PROTOCOL_VERSION } from '@forerunner/protocol';
import { PeerError } from '@forerunner/service-kit';
import { describe, expect, it } from 'vitest';
import { Admission } from '../src/admission.ts';
import { Breaker } from '../src/pair/breaker.ts';
import { findMismatch, findWarning } from '../src/pair/fit.ts';
import { TargetReplicas } from '../src/pair/target-replicas.ts';
import { ToyPeer, toyCard, toyModel } from './toy-peers.ts';

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
    ['another protocol', { protocol_version: PROTOCOL_VERSION + 1 }, /protocol version 3/],
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
  const replicasOf = (count: number) =>
    new TargetReplicas(Array.from({ length: count }, () => new ToyPeer('target-service', toyModel(1, 1))));

  it('take new requests in turn', () => {
    const replicas = replicasOf(3);
    expect([0, 1, 2, 3].map(() => replicas.candidates(DIGEST, null)[0])).toEqual([0, 1, 2, 0]);
  });

  it('keep a request on its own', () => {
    expect(replicasOf(3).candidates(DIGEST, 2)).toEqual([2, 0, 1]);
  });

  it('are left out while they have another model; one that has not answered may be asked', async () => {
    const [own, other, silent] = [0, 1, 2].map(() => new ToyPeer('target-service', toyModel(1, 1)));
    other!.modelDigest = 'e'.repeat(64);
    silent!.getJson = async () => {
      throw new PeerError('unreachable', 'ECONNREFUSED');
    };
    const replicas = new TargetReplicas([own!, other!, silent!]);
    await replicas.refresh();
    expect([replicas.candidates(DIGEST, 1), replicas.candidates(DIGEST, 1)]).toEqual([
      [0, 2],
      [2, 0],
    ]);
    other!.modelDigest = DIGEST;
    await replicas.refreshCard(1);
    expect(replicas.candidates(DIGEST, 1)).toEqual([1, 2, 0]);
  });

  it('come last for a while after a failure', () => {
    const replicas = replicasOf(2);
    replicas.reportFailure(0);
    expect(replicas.candidates(DIGEST, null)).toEqual([1, 0]);
    replicas.reportSuccess(0);
    replicas.candidates(DIGEST, null);
    expect(replicas.candidates(DIGEST, null)).toEqual([0, 1]);
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
