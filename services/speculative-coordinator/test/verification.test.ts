/** The verification rule that a request names, or leaves to the server: which one checks, and what is refused. */
import { PeerError } from '@forerunner/service-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VerificationRule } from '../src/generation/verification/rule.ts';
import { GreedyRule } from '../src/generation/verification/target-tokens.ts';
import { VerdictRule } from '../src/generation/verification/verdict.ts';
import { type ScriptedTrio, startScriptedTrio } from './surface/scripted-trio.ts';
import { type FaultPlan, mixed, ToyPeer, toyModel } from './toy-peers.ts';
import { sampling, ToyTrio } from './toy-trio.ts';

const TEXT = 'The old mill stood by the river and turned.';

describe('a request', () => {
  let trio: ScriptedTrio;
  beforeAll(async () => {
    trio = await startScriptedTrio({ text: TEXT });
  });
  afterAll(() => trio.stop());

  const generate = async (body: object) => {
    trio.target.rowKinds.clear();
    const reply = await fetch(`${trio.url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Say it:', seed: 1, ...body }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: replies are checked field by field
    return { status: reply.status, body: (await reply.json()) as any, rows: [...trio.target.rowKinds] };
  };

  it.each([
    [{ temperature: 0 }, 'argmax'],
    [{ temperature: 0, verification: 'greedy' }, 'argmax'],
    [{ temperature: 0, verification: 'rejection' }, 'argmax'],
    [{ temperature: 0, verification: 'coupled' }, 'argmax'],
    [{ temperature: 1 }, 'samples'],
    [{ temperature: 1, verification: 'coupled' }, 'samples'],
    [{ temperature: 1, verification: 'rejection' }, 'verdict'],
    [{ temperature: 1, verification: 'block' }, 'verdict'],
  ])('with %j asks the target for %s', async (body, rows) => {
    const reply = await generate(body);
    expect([reply.status, reply.rows]).toEqual([200, [rows]]);
    if (body.temperature === 0) expect(reply.body.text).toBe(TEXT);
  });

  it('for greedy verification at another temperature than 0 is refused before any work', async () => {
    const { status, body, rows } = await generate({ temperature: 0.7, verification: 'greedy' });
    expect([status, body.error.code, body.error.field]).toEqual([400, 'unsupported_value', 'verification']);
    expect(body.error.message).toBe('"verification": greedy needs a temperature of 0, got 0.7');
    expect(rows).toEqual([]);
  });

  it('for a rule that there is not is refused', async () => {
    const { status, body } = await generate({ verification: 'hope' });
    expect([status, body.error.code]).toEqual([400, 'invalid_request']);
  });
});

/** Does something before every n-th call. */
const every =
  (n: number, act: (peer: ToyPeer) => void): FaultPlan =>
  (call, peer) => {
    if (call % n === n - 1) act(peer);
    return null;
  };
const lose = (peer: ToyPeer) => peer.loseSequences();
const failThen: FaultPlan = (call) => (call === 3 ? new PeerError('unreachable', 'gone') : null);

/** What goes wrong on either side, call by call. */
const FAULTS: [string, Partial<Pick<ToyPeer, 'faults' | 'featureModel'>>, Partial<Pick<ToyPeer, 'faults'>>][] = [
  ['nothing amiss', {}, {}],
  ['a draft that loses its text', { faults: every(3, lose) }, {}],
  ['a target that loses its text', {}, { faults: every(2, lose) }],
  ['a draft that fails in the middle', { faults: failThen }, {}],
  ['a draft that reads hidden states', { featureModel: (text) => toyModel(text.length, 5)(text) }, {}],
];

describe('coupled verification', () => {
  it.each(FAULTS)('gives the target’s own seeded answer, with %s', async (_what, draft, target) => {
    const p = toyModel(1, 3);
    const open = () =>
      new ToyTrio(new ToyPeer('target-service', p), new ToyPeer('draft-service', mixed(p, toyModel(2, 3), 0.6)));
    let numAccepted = 0;
    for (let seed = 1; seed <= 20; seed++) {
      for (const temperature of [0.5, 1, 2]) {
        const change = { seed, sampling: sampling({ temperature }) };
        const alone = await open().generate({ ...change, numSpeculativeTokens: 0 });
        for (const numSpeculativeTokens of [1, 4]) {
          const trio = open();
          Object.assign(trio.draft, draft);
          Object.assign(trio.target, target);
          const { output, statistics } = await trio.generate({ ...change, numSpeculativeTokens });
          expect(output.tokenIds).toEqual(alone.output.tokenIds);
          numAccepted += statistics.speculative_decoding.num_accepted_tokens;
        }
      }
    }
    expect(numAccepted).toBeGreaterThan(20); // the draft was listened to
  });

  it('is not what makes answers equal: with rejection they depend on the draft (negative control)', async () => {
    const p = toyModel(1, 3);
    const answer = (numSpeculativeTokens: number) =>
      new ToyTrio(
        new ToyPeer('target-service', p),
        new ToyPeer('draft-service', mixed(p, toyModel(2, 3), 0.6)),
      ).generate({ verification: 'rejection', numSpeculativeTokens });
    expect((await answer(4)).output.tokenIds).not.toEqual((await answer(0)).output.tokenIds);
  });
});

describe('at temperature 0', () => {
  it.each(['rejection', 'block'] as const)(
    'greedy verification may stand for %s: same answers, same guesses accepted',
    async (name) => {
      const p = toyModel(1, 3);
      const answer = (rule: VerificationRule, promptTokenIds: Int32Array) =>
        new ToyTrio(
          new ToyPeer('target-service', p),
          new ToyPeer('draft-service', mixed(p, toyModel(2, 3), 0.6)),
        ).generate({ promptTokenIds, rule, sampling: sampling({ temperature: 0 }) });
      for (let i = 1; i < 8; i++) {
        const prompt = Int32Array.of(i, 16 - i);
        const [greedy, other] = [
          await answer(new GreedyRule(1), prompt),
          await answer(new VerdictRule(name, 1), prompt),
        ];
        expect(other.output.tokenIds).toEqual(greedy.output.tokenIds);
        expect(other.statistics.speculative_decoding).toEqual(greedy.statistics.speculative_decoding);
      }
    },
  );
});
