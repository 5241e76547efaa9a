import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { distributionAt, modelCardSchema } from '@forerunner/protocol';
import { probOf } from '@forerunner/sampling';
import { afterEach, describe, expect, it } from 'vitest';
import { concat, openDraft, post, propose, proposing, type TestDraft } from './harness.ts';

let draft: TestDraft;
afterEach(() => draft.close());

const WIDTH = 576;
const text = Int32Array.of(1, 4093, 198, 19556, 638, 260, 6376, 314, 4461, 30, 2, 198, 1, 520, 9531, 198);

/** Token ids of the target that the draft's head has a row for. */
function headTokens(): Set<number> {
  const bytes = readFileSync(join(draft.modelDir, 'd2t.i32'));
  return new Set(new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
}

describe('a draft with a reduced head', () => {
  it('proposes ids of the target, with distributions over ids of the target', async () => {
    draft = await openDraft({ MODEL_SIZE: '135m-draft' });
    const { draftTokenIds, distributions, vocab_size } = await propose(draft.app, proposing('a', text, 0, { seed: 5 }));
    const head = headTokens();
    expect([vocab_size, head.size, distributions!.tokenIds!.length]).toEqual([49_152, 16_384, 5 * 64]);
    draftTokenIds.forEach((id, i) => {
      expect(head.has(id)).toBe(true);
      expect(probOf(distributionAt(distributions!, i), id)).toBeGreaterThan(0);
    });
    const greedy = await propose(draft.app, proposing('b', text, 0, { sampling: { temperature: 0 } }));
    expect([...greedy.draftTokenIds].every((id) => head.has(id))).toBe(true);
  });
});

describe('a draft that reads hidden states', () => {
  const hiddenStates = (numTokens: number, first = 0) =>
    Float16Array.from({ length: numTokens * WIDTH }, (_, i) => Math.sin((first * WIDTH + i) / 7));
  const greedy = { sampling: { temperature: 0 }, num_speculative_tokens: 4 };

  it('proposes from tokens and hidden states, and says in its card what it wants', async () => {
    draft = await openDraft({ MODEL_SIZE: '135m-feature-draft' });
    const card = modelCardSchema.parse((await draft.app.inject({ url: '/v1/model' })).json());
    expect(card.hidden_states_wanted).toMatchObject({ name: 'hidden_states', width: WIDTH, dtype: 'float16' });
    expect(card.draft_vocab_size).toBe(12288);

    const once = await propose(draft.app, proposing('a', text, 0, { ...greedy, hidden_states: hiddenStates(16) }));
    expect([once.draftTokenIds.length, once.cached_length]).toEqual([4, 19]);
    const again = await propose(draft.app, proposing('b', text, 0, { ...greedy, hidden_states: hiddenStates(16) }));
    expect(again.draftTokenIds).toEqual(once.draftTokenIds);
    expect(again.num_reused_tokens).toBe(0); // what hidden states were sent for is computed

    // After the round the true hidden states replace the draft's own estimates: rolled back, it gives what a fresh one gives.
    const longer = concat(text, once.draftTokenIds.slice(0, 2));
    const next = await propose(
      draft.app,
      proposing('a', longer, 16, { ...greedy, hidden_states: hiddenStates(2, 16) }),
    );
    const fresh = await propose(draft.app, proposing('c', longer, 0, { ...greedy, hidden_states: hiddenStates(18) }));
    expect(next.draftTokenIds).toEqual(fresh.draftTokenIds);

    // Its own estimates matter: the same tokens with true hidden states instead give other distributions.
    const sampled = { sampling: { temperature: 1 }, num_speculative_tokens: 2 };
    const own = await propose(draft.app, proposing('d', text, 0, { ...sampled, hidden_states: hiddenStates(16) }));
    const told = await propose(
      draft.app,
      proposing('d', concat(text, own.draftTokenIds.slice(0, 1)), 16, {
        ...sampled,
        num_speculative_tokens: 1,
        hidden_states: hiddenStates(1, 16),
      }),
    );
    expect(distributionAt(told.distributions!, 0).probs).not.toEqual(distributionAt(own.distributions!, 1).probs);

    for (const [what, bad] of [
      ['none', proposing('e', text)],
      [`${15 * WIDTH} values`, proposing('e', text, 0, { hidden_states: hiddenStates(15) })],
    ] as const) {
      const reply = await post(draft.app, bad);
      expect([reply.statusCode, reply.json().error.code]).toEqual([400, 'invalid_request']);
      expect(reply.json().error.message).toContain(`got ${what}`);
    }
  });

  describe('and has cached prefixes', () => {
    const long = concat(text, text, text); // 48 tokens
    const free = (id: string) => draft.app.inject({ method: 'DELETE', url: `/v1/sequences/${id}` });
    /** What the draft has of the first `length` tokens; the sequence holds that much then. */
    const ask = async (id: string, length: number, more = {}) => {
      const tokens = long.slice(0, length);
      const request = { num_speculative_tokens: 0, hidden_states_from: length, ...more };
      const reply = await post(draft.app, proposing(id, tokens, 0, request));
      return { status: reply.statusCode, body: reply.statusCode === 200 ? null : reply.json().error };
    };

    it('says how much of a text it has, and takes the rest with hidden states from there on', async () => {
      draft = await openDraft({ MODEL_SIZE: '135m-feature-draft' });
      const fresh = proposing('a', long, 0, { ...greedy, hidden_states: hiddenStates(48) });
      const expected = await propose(draft.app, fresh);
      await free('a');
      expect(await ask('b', 20)).toEqual({ status: 200, body: null });
      await free('b');
      const others = Int32Array.of(...long.slice(0, 30), ...long.slice(0, 10));
      const partly = await post(
        draft.app,
        proposing('c', others, 0, { num_speculative_tokens: 0, hidden_states_from: 40 }),
      );
      expect([partly.statusCode, partly.json().error]).toMatchObject([
        409,
        { code: 'sequence_mismatch', cached_length: 30 },
      ]);
      // The sequence holds the 30 and goes on as usual.
      const request = proposing('c', long, 30, { ...greedy, hidden_states: hiddenStates(18, 30) });
      expect((await propose(draft.app, request)).draftTokenIds).toEqual(expected.draftTokenIds);
    });

    it('takes the beginning from a cache and hidden states for the rest in one request', async () => {
      draft = await openDraft({ MODEL_SIZE: '135m-feature-draft' });
      const first = proposing('a', long, 0, { ...greedy, hidden_states: hiddenStates(48) });
      const expected = await propose(draft.app, first);
      await free('a');
      const more = { ...greedy, hidden_states_from: 40, hidden_states: hiddenStates(8, 40) };
      const reply = await propose(draft.app, proposing('b', long, 0, more));
      expect([reply.num_reused_tokens, reply.draftTokenIds]).toEqual([40, expected.draftTokenIds]);
    });

    it('has nothing of what it computed from its own estimates, nor of another scope', async () => {
      draft = await openDraft({ MODEL_SIZE: '135m-feature-draft' });
      const known = { ...greedy, hidden_states: hiddenStates(20) };
      const { draftTokenIds, cached_length } = await propose(draft.app, proposing('a', long.slice(0, 20), 0, known));
      expect(cached_length).toBe(23);
      await free('a');
      const guessed = concat(long.slice(0, 20), draftTokenIds.slice(0, 3));
      const reply = await post(
        draft.app,
        proposing('b', guessed, 0, { num_speculative_tokens: 0, hidden_states_from: 23 }),
      );
      expect(reply.json().error).toMatchObject({ code: 'sequence_mismatch', cached_length: 20 });
      expect((await ask('c', 20, { cache_scope: 'other' })).body).toMatchObject({ cached_length: 0 });
    });

    it.each([
      ['before position', { hidden_states_from: 3 }, 5, 'must be from 5 to 15, got 3'],
      ['behind the token to go on from', { hidden_states_from: 16 }, 5, 'must be from 5 to 15, got 16'],
      ['too few rows', { hidden_states_from: 9, hidden_states: hiddenStates(6) }, 5, '7 token_ids from 9 on'],
    ])('refuses hidden_states_from %s', async (_what, more, position, says) => {
      draft = await openDraft({ MODEL_SIZE: '135m-feature-draft' });
      const reply = await post(draft.app, proposing('a', text, position, { ...greedy, ...more }));
      expect([reply.statusCode, reply.json().error.code]).toEqual([400, 'invalid_request']);
      expect(reply.json().error.message).toContain(says);
    });
  });
});
