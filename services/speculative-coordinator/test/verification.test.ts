/** The verification rule that a request names, or leaves to the server: which one checks, and what is refused. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VerificationRule } from '../src/generation/verification/rule.ts';
import { GreedyRule } from '../src/generation/verification/target-tokens.ts';
import { VerdictRule } from '../src/generation/verification/verdict.ts';
import { type ScriptedTrio, startScriptedTrio } from './surface/scripted-trio.ts';
import { mixed, ToyPeer, toyModel } from './toy-peers.ts';
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
