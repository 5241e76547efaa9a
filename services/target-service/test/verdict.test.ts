/** What the target decides beside its model, coupled draws and verdicts, against the same functions over its own logits. */
import { packDistributions, type ScoreReply, scoreRequestFrame } from '@forerunner/protocol';
import {
  CoupledNoise,
  logprobOf,
  Sampler,
  type SamplingParams,
  seededVerdict,
  type TokenDistribution,
  topLogprobs,
} from '@forerunner/sampling';
import { TINY_VOCAB_SIZE } from '@forerunner/testkit';
import { someIds } from '@forerunner/testkit/in-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTarget, post, score, scoring, type TestTarget } from './harness.ts';

let target: TestTarget;
beforeAll(async () => {
  target = await openTarget();
});
afterAll(() => target.close());

let nextId = 0;
const freshId = () => `v-${nextId++}`;
const K = 4;
const NUM_PRIOR = 8;
const WIRE = { temperature: 0.9, top_k: 0, repetition_penalty: 1.2, presence_penalty: 0.5, output_start: 3 };
const PARAMS: SamplingParams = {
  temperature: 0.9,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1.2,
  presencePenalty: 0.5,
  frequencyPenalty: 0,
  logitBias: new Map(),
  suppressTokens: [],
};
const sampler = new Sampler(TINY_VOCAB_SIZE);

/** Rows of logits after the last NUM_PRIOR-th token and after each guess. */
async function logitRows(text: Int32Array): Promise<Float32Array[]> {
  const { logits } = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits', num_rows: K + 1 }));
  return Array.from({ length: K + 1 }, (_, i) => logits!.slice(i * TINY_VOCAB_SIZE, (i + 1) * TINY_VOCAB_SIZE));
}

const before = (text: Int32Array, i: number) => ({ tokenIds: text.subarray(0, NUM_PRIOR + i), outputStart: 3 });

/** The target's own draws, which stop where they leave the text. */
async function samples(text: Int32Array, seed: number, more: object = {}): Promise<ScoreReply> {
  const request = { rows: 'samples', num_rows: K + 1, seed, sampling: WIRE, ...more };
  return score(target.app, scoring(freshId(), text, 0, request));
}

describe('samples', () => {
  it('are the coupled draws of each row, up to the first that is not the token that was sent', async () => {
    let prior = someIds(NUM_PRIOR);
    for (let seed = 0; seed < 6; seed++) {
      // Guess what the target draws, but for the guess at place `wrong`.
      const wrong = seed % (K + 1);
      const text = new Int32Array(NUM_PRIOR + K);
      text.set(prior);
      for (let i = 0; i < K; i++) {
        const rows = await logitRows(text);
        const own = sampler.drawCoupled(rows[i]!, PARAMS, before(text, i), new CoupledNoise(seed, NUM_PRIOR + i));
        text[NUM_PRIOR + i] = i === wrong ? (own + 1) % TINY_VOCAB_SIZE : own;
      }
      const rows = await logitRows(text);
      const expected = Array.from({ length: wrong + 1 }, (_, i) =>
        sampler.drawCoupled(rows[i]!, PARAMS, before(text, i), new CoupledNoise(seed, NUM_PRIOR + i)),
      );
      const reply = await samples(text, seed);
      expect([...reply.sampledTokenIds!]).toEqual(expected);
      expect([...reply.sampledTokenIds!.slice(0, wrong)]).toEqual([...text.slice(NUM_PRIOR, NUM_PRIOR + wrong)]);
      prior = text.slice(K);
    }
  });

  it('are the argmax at temperature 0', async () => {
    const text = someIds(NUM_PRIOR + K);
    const sampling = { temperature: 0 };
    const { argmaxTokenIds } = await score(target.app, scoring(freshId(), text, 0, { num_rows: K + 1, sampling }));
    const { sampledTokenIds } = await samples(text, 3, { sampling });
    expect(sampledTokenIds![0]).toBe(argmaxTokenIds![0]);
  });
});

describe('a verdict', () => {
  const text = someIds(NUM_PRIOR + K, 40);
  let q: TokenDistribution[];
  beforeAll(async () => {
    // Guesses that the target likes, some of which it keeps.
    for (let i = 0; i < K; i++)
      text[NUM_PRIOR + i] = sampler.likeliest((await logitRows(text))[i]!, PARAMS, before(text, i));
    q = Array.from({ length: K }, (_, i) => {
      const ids = [...new Set([text[NUM_PRIOR + i]!, 5, 9, 300, 700])].sort((a, b) => a - b);
      return { tokenIds: Int32Array.from(ids), probs: Float32Array.from(ids, (_, j) => (j + 1) / 15) };
    });
  });
  const verdict = (seed: number, verification: string, more: object = {}) =>
    score(
      target.app,
      scoring(freshId(), text, 0, {
        rows: 'verdict',
        verification,
        num_rows: K + 1,
        seed,
        sampling: WIRE,
        draftDistributions: packDistributions(q),
        ...more,
      }),
    );

  it.each(['rejection', 'block'] as const)('is that of %s over the target’s own distributions', async (rule) => {
    const rows = await logitRows(text);
    const kept = new Set<number>();
    for (let seed = 0; seed < 40; seed++) {
      for (const draftDistributions of [q, []]) {
        const expected = seededVerdict(rule, {
          seed,
          position: NUM_PRIOR,
          draftTokenIds: text.slice(NUM_PRIOR),
          draftDistributions,
          targetDistribution: (i) => sampler.distribution(rows[i]!, PARAMS, before(text, i)),
        });
        const more = draftDistributions.length === 0 ? { draftDistributions: null } : {};
        const reply = await verdict(seed, rule, more);
        expect(reply.num_accepted_tokens).toBe(expected.numAcceptedTokens);
        expect(reply.next_token_id).toBe(expected.bonusTokenId ?? expected.recoveredTokenId);
        kept.add(expected.numAcceptedTokens);
      }
    }
    expect(kept.size).toBeGreaterThan(1);
  });

  it('is the same in JSON', async () => {
    const frame = await verdict(3, 'block');
    const { header, sections } = scoreRequestFrame(
      scoring(freshId(), text, 0, { ...WIRE_REQUEST, seed: 3, draftDistributions: packDistributions(q) }),
    );
    const lists = Object.fromEntries(Object.entries(sections).map(([name, data]) => [name, Array.from(data)]));
    const json = (await post(target.app, { ...header, ...lists })).json();
    expect([json.num_accepted_tokens, json.next_token_id]).toEqual([frame.num_accepted_tokens, frame.next_token_id]);
  });

  const WIRE_REQUEST = { rows: 'verdict', verification: 'block', num_rows: K + 1, sampling: WIRE };
});

describe('log probabilities', () => {
  it.each([
    ['argmax', {}],
    ['samples', {}],
    ['verdict', { verification: 'rejection' }],
  ])('come with the tokens of the reply (%s), before temperature and penalties', async (rows, more) => {
    const text = someIds(NUM_PRIOR + K, 80);
    const request = { rows, num_rows: K + 1, seed: 5, sampling: WIRE, num_top_logprobs: 3, ...more };
    const reply = await score(target.app, scoring(freshId(), text, 0, request));
    const tokenIds =
      rows === 'verdict'
        ? [...text.slice(NUM_PRIOR, NUM_PRIOR + reply.num_accepted_tokens!), reply.next_token_id!]
        : [...(reply.argmaxTokenIds ?? reply.sampledTokenIds)!];
    const own = await logitRows(text);
    const { logprobs, topTokenIds, topLogprobs: top } = reply.logprobs!;
    expect(logprobs).toEqual(Float32Array.from(tokenIds, (id, i) => logprobOf(own[i]!, id)));
    const expected = tokenIds.flatMap((_, i) => topLogprobs(own[i]!, 3));
    expect([...topTokenIds]).toEqual(expected.map(({ tokenId }) => tokenId));
    expect(top).toEqual(Float32Array.from(expected, ({ logprob }) => logprob));
  });
});

describe('under masks', () => {
  const ALLOWED = [3, 70, 300, 701, 1002];
  const words = new Int32Array(Math.ceil(TINY_VOCAB_SIZE / 32));
  for (const id of ALLOWED) words[id >> 5]! |= 1 << (id & 31);
  const masked = (row: Float32Array) => row.map((x, id) => (ALLOWED.includes(id) ? x : -Infinity));
  const NUM_MASKS = 3;
  const allowed_tokens = Int32Array.from(Array.from({ length: NUM_MASKS }, () => [...words]).flat());
  const ruleRow = (row: Float32Array, i: number) => (i < NUM_MASKS ? masked(row) : row);
  const text = someIds(NUM_PRIOR + K, 120);
  beforeAll(async () => {
    for (let i = 0; i < 2; i++)
      text[NUM_PRIOR + i] = sampler.likeliest(masked((await logitRows(text))[i]!), PARAMS, before(text, i));
    text[NUM_PRIOR + 2] = 9; // forbidden
  });

  it('samples are drawn from what is allowed, and log probabilities are of the whole distribution', async () => {
    const own = await logitRows(text);
    const reply = await samples(text, 4, { allowed_tokens, num_top_logprobs: 2 });
    const tokenIds = [...reply.sampledTokenIds!];
    expect(tokenIds).toEqual(
      tokenIds.map((_, i) =>
        sampler.drawCoupled(ruleRow(own[i]!, i), PARAMS, before(text, i), new CoupledNoise(4, NUM_PRIOR + i)),
      ),
    );
    expect(tokenIds.every((id) => ALLOWED.includes(id))).toBe(true);
    expect(reply.logprobs!.logprobs).toEqual(Float32Array.from(tokenIds, (id, i) => logprobOf(own[i]!, id)));
  });

  it.each(['rejection', 'block'] as const)('a verdict by %s is over what is allowed', async (verification) => {
    const own = await logitRows(text);
    const kept = new Set<number>();
    for (let seed = 0; seed < 30; seed++) {
      const expected = seededVerdict(verification, {
        seed,
        position: NUM_PRIOR,
        draftTokenIds: text.slice(NUM_PRIOR),
        draftDistributions: [],
        targetDistribution: (i) => sampler.distribution(ruleRow(own[i]!, i), PARAMS, before(text, i)),
      });
      const more = { rows: 'verdict', verification, allowed_tokens, num_top_logprobs: 2 };
      const reply = await samples(text, seed, more);
      const { num_accepted_tokens: numKept, next_token_id: next } = reply;
      expect(numKept).toBe(expected.numAcceptedTokens);
      expect(next).toBe(expected.bonusTokenId ?? expected.recoveredTokenId);
      expect(numKept).toBeLessThan(NUM_MASKS); // never past the forbidden guess
      const tokenIds = [...text.slice(NUM_PRIOR, NUM_PRIOR + numKept!), next!];
      expect(tokenIds.every((id) => ALLOWED.includes(id))).toBe(true);
      expect(reply.logprobs!.logprobs).toEqual(Float32Array.from(tokenIds, (id, i) => logprobOf(own[i]!, id)));
      kept.add(numKept!);
    }
    expect(kept.size).toBeGreaterThan(1);
  });
});

describe('refused is', () => {
  const valid = { ...scoring('r', someIds(6)), token_ids: [...someIds(6)], rows: 'verdict', num_rows: 3 };
  const rule = { verification: 'rejection' };
  const rows = { prob_offsets: [0, 1, 2], prob_token_ids: [1, 2], probs: [1, 1] };
  it.each<[string, object, string, string]>([
    ['a verdict without a rule', valid, 'invalid_request', '"verification": a verdict needs rejection or block'],
    ['an unknown rule', { ...valid, verification: 'hope' }, 'invalid_request', 'verification'],
    ['a verdict about no row', { ...valid, ...rule, num_rows: 0 }, 'invalid_request', '"num_rows"'],
    ['a rule for other rows', { ...valid, ...rule, rows: 'argmax' }, 'invalid_request', 'needs rows "verdict", got'],
    ['distributions for other rows', { ...valid, rows: 'samples', ...rows }, 'invalid_request', '"prob_offsets"'],
    [
      'too few distributions',
      { ...valid, ...rule, prob_offsets: [0, 1], prob_token_ids: [1], probs: [1] },
      'invalid_request',
      'must be of 2 distributions, one for each guess, got 1',
    ],
    [
      'distributions without where they begin',
      { ...valid, ...rule, probs: [1] },
      'invalid_request',
      '"prob_offsets": is missing',
    ],
    [
      'a distribution whose ids do not ascend',
      { ...valid, ...rule, ...rows, prob_offsets: [0, 2, 2], prob_token_ids: [2, 1] },
      'malformed_frame',
      'ascending',
    ],
    [
      'log probabilities beside whole rows',
      { ...valid, rows: 'logits', num_top_logprobs: 2 },
      'invalid_request',
      '"num_top_logprobs"',
    ],
    ['a seed that is none', { ...valid, rows: 'samples', seed: -1 }, 'invalid_request', 'seed'],
  ])('%s', async (_what, payload, code, says) => {
    const reply = await post(target.app, payload);
    expect([reply.statusCode, reply.json().error.code]).toEqual([400, code]);
    expect(reply.json().error.message).toContain(says);
  });
});
