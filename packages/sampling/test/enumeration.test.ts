/**
 * Proof 1: with vocabulary 3, K <= 3 and context-dependent toy models, the joint distribution of the next 4 tokens under
 * verification is the target's, to 1e-12 in total variation. Nothing here is random.
 */
import { describe, expect, it } from 'vitest';
import { argmax, Sampler, type SamplingParams, verifyTargetTokens } from '../src/index.ts';
import { coupledRounds, type Follows } from './coupled-law.ts';
import {
  emittedText,
  jointDistribution,
  type Model,
  roundDistributionOf,
  type SampledRounds,
  sampledTexts,
  totalVariation,
} from './enumerate.ts';
import { randomLogits, sampling } from './support.ts';

const VOCAB_SIZE = 3;
const NUM_TOKENS = 4;
const MAX_TOTAL_VARIATION = 1e-12;

const builder = new Sampler(VOCAB_SIZE);

/** Logits that depend on the whole context, unrelated from one to the next. */
const logitsAfter = (model: number, context: string) =>
  randomLogits(model * 100_000 + Number.parseInt(`1${context}`, 4), VOCAB_SIZE, 1.5);

function toyModel(model: number, overrides: Partial<SamplingParams> = {}): Model {
  const distributions = new Map<string, ReturnType<Model>>();
  return (context) => {
    const distribution =
      distributions.get(context) ?? builder.distribution(logitsAfter(model, context), sampling(overrides));
    distributions.set(context, distribution);
    return distribution;
  };
}

/** How far the joint distribution under verification is from the target's own. */
function biasOf(round: SampledRounds): number {
  const joint = jointDistribution((context) => roundDistributionOf(round, context, VOCAB_SIZE), NUM_TOKENS);
  const own = sampledTexts(round.target, (text) => text.length === NUM_TOKENS, VOCAB_SIZE);
  return totalVariation(joint, own);
}

const stopAfter = (k: number) => (draft: string) => draft.length === k;

const CASES: [string, target: Partial<SamplingParams>, draft: Partial<SamplingParams>][] = [
  ['at temperature 1', {}, {}],
  [
    'at temperature 0.6 with top-k 2 (sparse distributions, different supports)',
    { temperature: 0.6, topK: 2 },
    { topK: 2 },
  ],
  ['with top-p 0.7 and a hot draft', { topP: 0.7 }, { topP: 0.7, temperature: 2 }],
  ['with a dense target and a sparse draft', {}, { topK: 2 }],
  ['with a sparse target and a dense draft', { topK: 2 }, {}],
  ['with min-p, and a greedy draft', { minP: 0.3 }, { temperature: 0 }],
  ['with a greedy target and a sampling draft', { temperature: 0 }, {}],
];

describe.each(['rejection', 'block'] as const)('%s verification emits the joint distribution of the target', (rule) => {
  for (const [what, target, draft] of CASES) {
    it.each([1, 2, 3])(`${what}, K = %i`, (k) => {
      const q = toyModel(2, draft);
      const bias = biasOf({ rule, target: toyModel(1, target), draft: q, stated: q, stops: stopAfter(k) });
      expect(bias).toBeLessThan(MAX_TOTAL_VARIATION);
    });
  }

  it('when the draft is the target', () => {
    const p = toyModel(1);
    expect(biasOf({ rule, target: p, draft: p, stated: p, stops: stopAfter(3) })).toBeLessThan(MAX_TOTAL_VARIATION);
  });

  it.each([0, 1])('when draft tokens come without distributions, drawn at temperature %i', (temperature) => {
    const guesses = toyModel(2, { temperature });
    const round = { rule, target: toyModel(1), draft: guesses, stated: undefined, stops: stopAfter(2) };
    expect(biasOf(round)).toBeLessThan(MAX_TOTAL_VARIATION);
  });

  it('when a draft stops early and keeps the unlikely token that made it stop', () => {
    const q = toyModel(2);
    const round = { rule, target: toyModel(1), draft: q, stated: q, stops: stopsEarly(q) };
    expect(biasOf(round)).toBeLessThan(MAX_TOTAL_VARIATION);
  });
});

describe.each(['rejection', 'block'] as const)('the enumeration of %s verification sees', (rule) => {
  const target = toyModel(1);
  const q = toyModel(2);

  it('a draft that drops the unlikely token that made it stop', () => {
    const trim = (draft: string, context: string) => (isUnlikely(q, draft, context) ? draft.slice(0, -1) : draft);
    expect(biasOf({ rule, target, draft: q, stated: q, stops: stopsEarly(q), trim })).toBeGreaterThan(0.01);
  });

  it('a draft that states another distribution than it draws from', () => {
    const stated = toyModel(2, { temperature: 1.2 });
    expect(biasOf({ rule, target, draft: q, stated, stops: stopAfter(2) })).toBeGreaterThan(0.01);
  });
});

describe('greedy verification emits the target’s own greedy text', () => {
  it.each([1, 2, 3])('whatever is proposed, K = %i', (k) => {
    const argmaxAfter = (context: string) => argmax(logitsAfter(1, context));
    const anything: Model = () => ({ tokenIds: null, probs: new Float32Array(VOCAB_SIZE).fill(1) });
    const joint = jointDistribution((context) => {
      const round = new Map<string, number>();
      for (const [draft, mass] of sampledTexts(anything, stopAfter(k), VOCAB_SIZE)) {
        const targets = Array.from({ length: k + 1 }, (_, i) => argmaxAfter(context + draft.slice(0, i)));
        const text = emittedText(draft, verifyTargetTokens(Int32Array.from(draft, Number), Int32Array.from(targets)));
        round.set(text, (round.get(text) ?? 0) + mass);
      }
      return round;
    }, NUM_TOKENS);
    let greedyText = '';
    while (greedyText.length < NUM_TOKENS) greedyText += argmaxAfter(greedyText);
    expect([...joint.keys()]).toEqual([greedyText]);
  });
});

describe('coupled verification emits the joint distribution of the target', () => {
  const [target, draft] = [toyModel(1), toyModel(2)];
  const biasOfCoupled = (k: number, follows: Follows) => {
    const joint = jointDistribution((context) => coupledRounds(target, draft, context, k, follows), NUM_TOKENS);
    return totalVariation(
      joint,
      sampledTexts(target, (text) => text.length === NUM_TOKENS, VOCAB_SIZE),
    );
  };
  const own: Follows = () => [[1, verifyTargetTokens]];

  it.each([1, 2, 3])('by the exact law of two racers with the same noise, K = %i', (k) => {
    expect(biasOfCoupled(k, own)).toBeLessThan(MAX_TOTAL_VARIATION);
  });

  it('but not if the ratio test of rejection judges such guesses', () => {
    const keeps = (ids: Int32Array, targets: Int32Array) => ({ ...verifyTargetTokens(ids, targets.with(0, ids[0]!)) });
    const ratioTest: Follows = (p, q, [guess]) => {
      const chance = Math.min(1, p[guess!]! / q[guess!]!);
      return [
        [chance, keeps],
        [1 - chance, verifyTargetTokens],
      ];
    };
    expect(biasOfCoupled(1, ratioTest)).toBeGreaterThan(0.01);
  });
});

function isUnlikely(q: Model, draft: string, context: string): boolean {
  const distribution = q(context + draft.slice(0, -1));
  return distribution.probs[Number(draft.at(-1))]! < 0.3;
}

/** Three tokens, or up to and with the first one that the draft finds unlikely. */
function stopsEarly(q: Model): SampledRounds['stops'] {
  return (draft, context) => draft.length === 3 || (draft.length > 0 && isUnlikely(q, draft, context));
}
