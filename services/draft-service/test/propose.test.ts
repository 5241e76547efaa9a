import { openRunner } from '@forerunner/engine';
import { distributionAt, modelCardSchema, numDistributionRows } from '@forerunner/protocol';
import { argmax, CounterRng, drawFrom, probOf, Sampler, type SamplingParams, STREAM } from '@forerunner/sampling';
import { TINY_VOCAB_SIZE } from '@forerunner/testkit';
import { someIds } from '@forerunner/testkit/in-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concat, openDraft, post, propose, proposing, type TestDraft } from './harness.ts';

let draft: TestDraft;
/** logits(text): [text.length][vocabSize], from the model itself, without the service. */
let logitsOf: (text: Int32Array) => Promise<Float32Array[]>;
let closeModel: () => Promise<void>;

beforeAll(async () => {
  draft = await openDraft();
  const { modelDir } = draft;
  const options = { numThreads: 1, minRows: 1, maxBatchItems: 1, deviceId: 0 };
  const runner = await openRunner({ modelDir, ...options, executionProvider: 'cpu', runtime: 'node' });
  logitsOf = async (tokenIds) => {
    const cache = runner.createCache(tokenIds.length);
    const batch = await runner.forward([{ cache, numPastTokens: 0, tokenIds, numLogitRows: tokenIds.length }]);
    const { vocabSize } = runner.signature;
    const rows = Array.from(tokenIds, (_, i) => batch.outputs[0]!.logits.slice(i * vocabSize, (i + 1) * vocabSize));
    batch.release();
    cache.release();
    return rows;
  };
  closeModel = () => runner.close();
});
afterAll(async () => {
  await draft.close();
  await closeModel();
});

const greedy = { sampling: { temperature: 0 } };
const neutral: SamplingParams = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  suppressTokens: [],
};
let nextId = 0;
const freshId = () => `d-${nextId++}`;
const alone = () => ({ cache_scope: freshId() });

describe('a greedy proposal', () => {
  it('is the chain of the model’s own argmaxes, without distributions', async () => {
    const text = someIds(12);
    const { draftTokenIds, distributions } = await propose(draft.app, proposing(freshId(), text, 0, greedy));
    const rows = await logitsOf(concat(text, draftTokenIds));
    expect([...draftTokenIds]).toEqual(rows.slice(11, 16).map((row) => argmax(row)));
    expect(distributions).toBeUndefined();
  });

  it('applies bias and penalties, counting what it drafted itself', async () => {
    const text = someIds(12);
    const { draftTokenIds: plain } = await propose(draft.app, proposing(freshId(), text, 0, greedy));
    const sampling = { temperature: 0, presence_penalty: 2, frequency_penalty: 2, logit_bias: { [plain[0]!]: -50 } };
    const request = proposing(freshId(), text, 0, { sampling: { ...sampling, output_start: 12 } });
    const { draftTokenIds } = await propose(draft.app, request);
    const rows = await logitsOf(concat(text, draftTokenIds));
    const sampler = new Sampler(TINY_VOCAB_SIZE);
    const params = {
      ...neutral,
      temperature: 0,
      presencePenalty: 2,
      frequencyPenalty: 2,
      logitBias: new Map([[plain[0]!, -50]]),
    };
    const expected = rows
      .slice(11, 16)
      .map((row, i) => sampler.likeliest(row, params, { tokenIds: draftTokenIds.slice(0, i), outputStart: 0 }));
    expect([...draftTokenIds]).toEqual(expected);
    expect(draftTokenIds[0]).not.toBe(plain[0]);
  });
});

describe('a sampled proposal', () => {
  const sampling = { temperature: 0.9, top_k: 40, top_p: 0.95 };

  it('comes with the filtered distributions of the model, and each token is the seeded draw from its distribution', async () => {
    const text = someIds(12, 3);
    const { draftTokenIds, distributions } = await propose(
      draft.app,
      proposing(freshId(), text, 0, { sampling, seed: 7 }),
    );
    const rows = await logitsOf(concat(text, draftTokenIds));
    const sampler = new Sampler(TINY_VOCAB_SIZE);
    const rng = new CounterRng(7);
    expect(numDistributionRows(distributions!)).toBe(5);
    draftTokenIds.forEach((tokenId, i) => {
      const distribution = distributionAt(distributions!, i);
      const own = sampler.distribution(rows[11 + i]!, { ...neutral, temperature: 0.9, topK: 40, topP: 0.95 });
      expect(distribution.tokenIds).toEqual(own.tokenIds);
      for (const [j, p] of distribution.probs.entries()) expect(p).toBeCloseTo(own.probs[j]!, 5);
      expect(tokenId).toBe(drawFrom(distribution, rng.uniform(STREAM.draftDraw, 12 + i, i)));
      expect(probOf(distribution, tokenId)).toBeGreaterThan(0);
    });
  });

  it('of coupled draws depends on the seed and the absolute position, not on how it was asked for', async () => {
    const text = someIds(12, 4);
    const coupled = true;
    const once = await propose(draft.app, proposing(freshId(), text, 0, { sampling, seed: 11, coupled }));
    expect(once.distributions).toBeUndefined();
    const id = freshId();
    const parts: number[] = [];
    for (let i = 0; i < 5; i++) {
      const so = concat(text, Int32Array.from(parts));
      const position = i === 0 ? 0 : so.length - 1;
      const request = proposing(id, so, position, { sampling, seed: 11, coupled, num_speculative_tokens: 1 });
      parts.push((await propose(draft.app, request)).draftTokenIds[0]!);
    }
    expect(parts).toEqual([...once.draftTokenIds]);
    const seeds = await Promise.all(
      [1, 2, 3, 4].map((seed) => propose(draft.app, proposing(freshId(), text, 0, { sampling, seed }))),
    );
    expect(new Set(seeds.map((reply) => String(reply.draftTokenIds))).size).toBeGreaterThan(1);
  });

  it('follows the distribution over many seeds', async () => {
    const text = someIds(6, 8);
    const id = freshId();
    const params = { sampling: { temperature: 1, top_k: 4 }, num_speculative_tokens: 1 };
    const counts = new Map<number, number>();
    const n = 400;
    let distribution = distributionAt((await propose(draft.app, proposing(id, text, 0, params))).distributions!, 0);
    for (let seed = 0; seed < n; seed++) {
      const reply = await propose(draft.app, proposing(id, text, 5, { ...params, seed }));
      distribution = distributionAt(reply.distributions!, 0);
      counts.set(reply.draftTokenIds[0]!, (counts.get(reply.draftTokenIds[0]!) ?? 0) + 1);
    }
    const chiSquare = [...distribution.tokenIds!].reduce((sum, tokenId) => {
      const expected = n * probOf(distribution, tokenId);
      return sum + ((counts.get(tokenId) ?? 0) - expected) ** 2 / expected;
    }, 0);
    expect(chiSquare).toBeLessThan(3 + 10 * Math.sqrt(6));
  });
});

describe('the confidence threshold', () => {
  it.each([
    ['sampled', { temperature: 1 }],
    ['greedy', { temperature: 0 }],
  ])('stops after the first token below it, and keeps that token (%s)', async (_how, sampling) => {
    const text = someIds(10, 2);
    const all = await propose(
      draft.app,
      proposing(freshId(), text, 0, { sampling, seed: 3, num_speculative_tokens: 8 }),
    );
    const rows = await logitsOf(concat(text, all.draftTokenIds));
    const sampler = new Sampler(TINY_VOCAB_SIZE);
    // A sampled draft is drawn from the 64 likeliest tokens.
    const params = { ...neutral, topK: sampling.temperature === 0 ? 0 : 64 };
    const confidences = [...all.draftTokenIds].map((id, i) => probOf(sampler.distribution(rows[9 + i]!, params), id));
    // A threshold that the first token passes and a later one does not.
    const below = confidences.findIndex((confidence) => confidence < confidences[0]!);
    expect(below).toBeGreaterThan(0);
    const threshold = (confidences[0]! + confidences[below]!) / 2;
    const stopAt = confidences.findIndex((confidence) => confidence < threshold);
    const request = proposing(freshId(), text, 0, {
      sampling,
      seed: 3,
      num_speculative_tokens: 8,
      min_confidence: threshold,
    });
    const cut = await propose(draft.app, request);
    expect([...cut.draftTokenIds]).toEqual([...all.draftTokenIds.slice(0, stopAt + 1)]);
    expect(cut.cached_length).toBe(10 + stopAt);
  });
});

describe('the cache of a draft', () => {
  it('holds the request’s tokens and all proposed ones but the last', async () => {
    const id = freshId();
    expect((await propose(draft.app, proposing(id, someIds(9), 0, greedy))).cached_length).toBe(13);
  });

  it('is only filled when nothing is to be proposed', async () => {
    const id = freshId();
    const reply = await propose(draft.app, proposing(id, someIds(9), 0, { num_speculative_tokens: 0 }));
    expect([reply.draftTokenIds.length, reply.cached_length]).toEqual([0, 9]);
    const more = await propose(draft.app, proposing(id, someIds(10), 9, greedy));
    expect([more.draftTokenIds.length, more.cached_length]).toEqual([5, 14]);
  });

  it('is rolled back to what was accepted', async () => {
    const text = someIds(9, 6);
    const id = freshId();
    const first = await propose(draft.app, proposing(id, text, 0, greedy));
    const accepted = concat(text, first.draftTokenIds.slice(0, 2), Int32Array.of(77)); // then the target's own token
    const next = await propose(draft.app, proposing(id, accepted, 11, greedy));
    const fresh = await propose(draft.app, proposing(freshId(), accepted, 0, { ...greedy, ...alone() }));
    expect([...next.draftTokenIds]).toEqual([...fresh.draftTokenIds]);
  });

  it('takes over a prefix of the same scope', async () => {
    const text = someIds(60, 50);
    const scope = alone();
    const first = await propose(draft.app, proposing(freshId(), text, 0, { ...greedy, ...scope }));
    const second = await propose(draft.app, proposing(freshId(), text, 0, { ...greedy, ...scope }));
    expect([first.num_reused_tokens, second.num_reused_tokens]).toEqual([0, 59]);
    expect(second.draftTokenIds).toEqual(first.draftTokenIds);
  });

  it('keeps the prefix of a freed sequence, counts what it spared, and takes it over', async () => {
    const text = someIds(60, 400);
    const scope = alone();
    const [a, b] = [freshId(), freshId()];
    const first = await propose(draft.app, proposing(a, text, 0, { ...greedy, ...scope }));
    const before = await draft.model.call('takeStats', null);
    await draft.app.inject({ method: 'DELETE', url: `/v1/sequences/${a}` });
    const second = await propose(draft.app, proposing(b, text, 0, { ...greedy, ...scope }));
    const after = await draft.model.call('takeStats', null);
    expect([second.num_reused_tokens, second.draftTokenIds]).toEqual([59, first.draftTokenIds]);
    expect(after.kvBytes).toBe(before.kvBytes); // moved, not copied
    expect(after.prefixCacheTokens.hits - before.prefixCacheTokens.hits).toBe(59);
    expect(after.prefixCacheTokens.queries - before.prefixCacheTokens.queries).toBe(60);
  });

  it('ends a proposal where the context does', async () => {
    const reply = await propose(draft.app, proposing(freshId(), someIds(510), 0, { ...greedy, ...alone() }));
    expect([reply.draftTokenIds.length, reply.cached_length]).toEqual([3, 512]);
    const beyond = await post(draft.app, proposing(freshId(), someIds(513), 0, greedy));
    expect(beyond.json().error).toMatchObject({ code: 'context_length_exceeded', context_length: 512 });
  });
});

describe('many at once', () => {
  it('get what each gets alone', async () => {
    const texts = Array.from({ length: 12 }, (_, i) => someIds(5 + 4 * i, 31 * i));
    const ask = (text: Int32Array) => propose(draft.app, proposing(freshId(), text, 0, { ...greedy, ...alone() }));
    const together = await Promise.all(texts.map(ask));
    for (const [i, text] of texts.entries()) {
      expect([...together[i]!.draftTokenIds]).toEqual([...(await ask(text)).draftTokenIds]);
    }
  });
});

describe('refusals', () => {
  it.each<[string, object, string, string?]>([
    ['no token ids', { token_ids: new Int32Array() }, 'invalid_request', 'token_ids'],
    ['a token outside the vocabulary', { token_ids: Int32Array.of(5, TINY_VOCAB_SIZE) }, 'token_out_of_range', '1024'],
    [
      'hidden states for a draft that takes none',
      { hidden_states: new Float16Array(4 * 64) },
      'invalid_request',
      'hidden_states',
    ],
    [
      'where hidden states begin, to a draft that takes none',
      { hidden_states_from: 2 },
      'invalid_request',
      'takes none',
    ],
    ['more tokens than the wire allows', { num_speculative_tokens: 33 }, 'invalid_request', 'num_speculative_tokens'],
    ['a confidence above 1', { min_confidence: 2 }, 'invalid_request', 'min_confidence'],
    ['a negative seed', { seed: -1 }, 'invalid_request', 'seed'],
    ['another protocol version', { protocol_version: 99 }, 'protocol_mismatch', '99'],
    ['an unknown field', { draft_k: 5 }, 'unknown_field', 'draft_k'],
  ])('%s', async (_what, more, code, says = '') => {
    const reply = await post(draft.app, { ...proposing('bad', someIds(4)), ...more });
    expect([reply.statusCode, reply.json().error.code]).toEqual([400, code]);
    expect(reply.json().error.message).toContain(says);
  });

  it('of a position that it does not hold, with the length that it does', async () => {
    const id = freshId();
    await propose(draft.app, proposing(id, someIds(6), 0, { num_speculative_tokens: 0 }));
    const reply = await post(draft.app, proposing(id, someIds(12), 8));
    expect([reply.statusCode, reply.json().error]).toMatchObject([409, { cached_length: 6 }]);
  });
});

it('shows its model card', async () => {
  const card = modelCardSchema.parse((await draft.app.inject({ url: '/v1/model' })).json());
  expect(card).toMatchObject({
    service: 'draft-service',
    model_id: 'tiny-draft',
    hidden_states_offered: null,
    hidden_states_wanted: null,
  });
});
