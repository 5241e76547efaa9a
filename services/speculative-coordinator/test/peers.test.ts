import { PROTOCOL_VERSION, TokenPrefix } from '@forerunner/protocol';
import { PeerError } from '@forerunner/service-kit';
import { describe, expect, it } from 'vitest';
import { Admission } from '../src/admission.ts';
import { findMismatch, findWarning } from '../src/pair/fit.ts';
import { TargetSequence } from '../src/pair/target-sequence.ts';
import { ToyPeer, toyCard, toyModel } from './toy-peers.ts';
import { ToyPools } from './toy-pools.ts';
import { sampling } from './toy-trio.ts';

describe('the deadline of a call of the target', () => {
  /** Milliseconds that a target with 60 s is given for prompts of these lengths, and for the round after each. */
  async function deadlinesFor(numTokens: number): Promise<readonly number[]> {
    const target = new ToyPeer('target-service', toyModel(1, 3));
    const pools = new ToyPools([target]);
    await pools.check();
    const sequence = new TargetSequence(pools.targets, {
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
