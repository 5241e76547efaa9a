import { describe, expect, it } from 'vitest';
import {
  CounterRng,
  drawFrom,
  oneHotDistribution,
  type SampledRound,
  Sampler,
  STREAM,
  type TokenDistribution,
  verifyRejection,
  verifyTargetTokens,
} from '../src/index.ts';
import { randomLogits, sampling } from './support.ts';

const dense = (...probs: number[]): TokenDistribution => ({ tokenIds: null, probs: Float32Array.from(probs) });

describe('verifyRejection', () => {
  const even = dense(0.5, 0.5, 0);
  const input = ({
    targetDistributions = [even, even, even],
    ...overrides
  }: Partial<SampledRound> & { targetDistributions?: TokenDistribution[] }): SampledRound => ({
    draftTokenIds: Int32Array.of(0, 1),
    draftDistributions: [even, even],
    targetDistribution: (i) => targetDistributions[i]!,
    acceptanceUniforms: [1, 1],
    followUniform: 1,
    ...overrides,
  });

  it('accepts every draft token when draft and target agree, and adds the bonus token', () => {
    expect(verifyRejection(input({}))).toEqual({ numAcceptedTokens: 2, bonusTokenId: 1, emptyResidual: false });
  });

  it('accepts up to the ratio of the probabilities and refuses beyond', () => {
    const targetDistributions = [dense(0.25, 0.25, 0.5), even, even];
    const outcome = (u: number) => verifyRejection(input({ targetDistributions, acceptanceUniforms: [u, 1] }));
    expect(outcome(0.5).numAcceptedTokens).toBe(2);
    expect(outcome(0.5000001)).toEqual({ numAcceptedTokens: 0, recoveredTokenId: 2, emptyResidual: false });
  });

  it('ends the round at the first refusal, whatever comes after it', () => {
    const targetDistributions = [even, dense(0, 0, 1), even];
    expect(verifyRejection(input({ targetDistributions }))).toMatchObject({
      numAcceptedTokens: 1,
      recoveredTokenId: 2,
    });
  });

  it('gives one token from p when nothing was proposed', () => {
    const outcome = verifyRejection(
      input({ draftTokenIds: new Int32Array(0), draftDistributions: [], targetDistributions: [even] }),
    );
    expect(outcome).toEqual({ numAcceptedTokens: 0, bonusTokenId: 1, emptyResidual: false });
  });

  it('takes a draft token without a distribution as certain, and recovers from the rest of p', () => {
    const targetDistributions = [dense(0.5, 0.25, 0.25), even, even];
    const outcome = (u: number) =>
      verifyRejection(
        input({ draftDistributions: [], targetDistributions, acceptanceUniforms: [u, 0.1], followUniform: 0.5 }),
      );
    expect(outcome(0.5).numAcceptedTokens).toBe(2);
    expect(outcome(0.51)).toMatchObject({ numAcceptedTokens: 0, recoveredTokenId: 1 });
  });

  it('never accepts a token that the target masks, even at the smallest uniform', () => {
    const targetDistributions = [dense(0, 1, 0), even, even];
    const outcome = verifyRejection(input({ targetDistributions, acceptanceUniforms: [2 ** -53, 1] }));
    expect(outcome).toMatchObject({ numAcceptedTokens: 0, recoveredTokenId: 1 });
  });

  it('samples p and says so when a refusal finds p and q equal up to rounding', () => {
    const q = dense(0.5, 0.5, 0);
    // A u that rounding carried past 1: the only way to a refusal between equal distributions.
    const outcome = verifyRejection(
      input({ draftDistributions: [q], acceptanceUniforms: [1 + 1e-15, 1], followUniform: 0.2 }),
    );
    expect(outcome).toEqual({ numAcceptedTokens: 0, recoveredTokenId: 0, emptyResidual: true });
  });

  it('refuses a draft token that its own distribution excludes', () => {
    const error = expect.objectContaining({ code: 'draft_token_outside_distribution' });
    expect(() => verifyRejection(input({ draftTokenIds: Int32Array.of(2, 0) }))).toThrow(error);
    expect(() => verifyRejection(input({ draftDistributions: [oneHotDistribution(1)] }))).toThrow(error);
  });

  it('refuses distributions that are not distributions, and numbers of distributions that do not fit', () => {
    expect(() => verifyRejection(input({ targetDistributions: [dense(Number.NaN, 1), even, even] }))).toThrow(
      expect.objectContaining({ code: 'invalid_distribution' }),
    );
    const invalidArgument = expect.objectContaining({ code: 'invalid_argument' });
    expect(() => verifyRejection(input({ acceptanceUniforms: [1] }))).toThrow(invalidArgument);
    expect(() => verifyRejection(input({ draftDistributions: [even, even, even] }))).toThrow(invalidArgument);
  });
});

describe('verifyTargetTokens', () => {
  const target = Int32Array.of(4, 5, 6, 7);

  it('keeps the draft tokens that are the argmax and corrects the first that is not', () => {
    expect(verifyTargetTokens(Int32Array.of(4, 5, 6), target)).toEqual({ numAcceptedTokens: 3, bonusTokenId: 7 });
    expect(verifyTargetTokens(Int32Array.of(4, 9, 6), target)).toEqual({ numAcceptedTokens: 1, recoveredTokenId: 5 });
    expect(verifyTargetTokens(Int32Array.of(0, 5, 6), target)).toEqual({ numAcceptedTokens: 0, recoveredTokenId: 4 });
    expect(verifyTargetTokens(new Int32Array(0), Int32Array.of(4))).toEqual({ numAcceptedTokens: 0, bonusTokenId: 4 });
  });

  it('needs one target token more than draft tokens', () => {
    expect(() => verifyTargetTokens(Int32Array.of(4), Int32Array.of(4))).toThrow(
      expect.objectContaining({ code: 'invalid_argument' }),
    );
  });

  it('is the rejection rule with one-hot distributions', () => {
    for (let code = 0; code < 27; code++) {
      const draftTokenIds = Int32Array.of(code % 3, Math.floor(code / 3) % 3, Math.floor(code / 9));
      const targetArgmax = Int32Array.of(1, 0, 2, 1);
      const { emptyResidual, ...outcome } = verifyRejection({
        draftTokenIds,
        draftDistributions: [],
        targetDistribution: (i) => oneHotDistribution(targetArgmax[i]!),
        acceptanceUniforms: [0.3, 0.6, 1],
        followUniform: 0.4,
      });
      expect(outcome).toEqual(verifyTargetTokens(draftTokenIds, targetArgmax));
      expect(emptyResidual).toBe(false);
    }
  });
});

describe('generation with a seed', () => {
  const VOCAB = 24;
  const MASKED = 5;
  const builder = new Sampler(VOCAB);
  const params = sampling({ temperature: 0.9, topP: 0.95 });
  const distributionAfter = (model: number, prefix: readonly number[]): TokenDistribution => {
    const row = randomLogits(model * 1_000 + (prefix.at(-1) ?? VOCAB), VOCAB, 2);
    row[MASKED] = -Infinity;
    return builder.distribution(row, params);
  };

  /** Rounds of K = 3 until there are `length` tokens; the excess of the last round is trimmed. */
  function generate(seed: number, length: number) {
    const rng = new CounterRng(seed);
    const output: number[] = [];
    const counts = { rounds: 0, accepted: 0, recovered: 0, bonus: 0, trimmed: 0 };
    while (output.length < length) {
      const start = output.length;
      const context = [...output];
      const draftDistributions: TokenDistribution[] = [];
      const targetDistributions = [distributionAfter(1, context)];
      for (let i = 0; i < 3; i++) {
        const q = distributionAfter(2, context);
        draftDistributions.push(q);
        context.push(drawFrom(q, rng.uniform(STREAM.draftDraw, start + i)));
        targetDistributions.push(distributionAfter(1, context));
      }
      const draftTokenIds = Int32Array.from(context.slice(start));
      const acceptanceUniforms = draftDistributions.map((_, i) => rng.uniform(STREAM.acceptance, start + i));
      const followUniform = rng.uniform(STREAM.followDraw, start);
      const outcome = verifyRejection({
        draftTokenIds,
        draftDistributions,
        targetDistribution: (i) => targetDistributions[i]!,
        acceptanceUniforms,
        followUniform,
      });
      counts.rounds++;
      counts.accepted += outcome.numAcceptedTokens;
      if (outcome.bonusTokenId === undefined) counts.recovered++;
      else counts.bonus++;
      output.push(...draftTokenIds.subarray(0, outcome.numAcceptedTokens));
      output.push(outcome.bonusTokenId ?? outcome.recoveredTokenId);
    }
    counts.trimmed = output.length - length;
    return { output: output.slice(0, length), counts };
  }

  it('gives the same tokens for the same seed and others for another', () => {
    expect(generate(11, 40)).toEqual(generate(11, 40));
    expect(generate(11, 40).output).not.toEqual(generate(12, 40).output);
  });

  it('adds up: emitted = accepted + recovered + bonus - trimmed, and one following token a round', () => {
    for (let seed = 0; seed < 20; seed++) {
      const { output, counts } = generate(seed, 50);
      expect(output).toHaveLength(counts.accepted + counts.recovered + counts.bonus - counts.trimmed);
      expect(counts.recovered + counts.bonus).toBe(counts.rounds);
      expect(counts.accepted).toBeGreaterThan(0);
      expect(counts.recovered).toBeGreaterThan(0);
    }
  });

  it('never emits a masked token', () => {
    for (let seed = 0; seed < 50; seed++) expect(generate(seed, 50).output).not.toContain(MASKED);
  });
});
