/**
 * Proof 2: at scale, with the real generator and filters. V = 16 with draft logits = -target logits (so that most drafts
 * are refused), and V = 4,096 with a draft that draws from its 64 likeliest; N = 200,000 rounds. At every position, among
 * the rounds that reach it, what is emitted follows the target's distribution by chi-square. Each test has a twin that
 * must fail. Coupled draws from 4,096 tokens: coupled.test.ts.
 */
import { describe, expect, it } from 'vitest';
import {
  CounterRng,
  CoupledNoise,
  deriveSeed,
  drawCoupled,
  drawFrom,
  probOf,
  Sampler,
  type SamplingParams,
  STREAM,
  type TokenDistribution,
  type VerificationOutcome,
  verifyBlock,
  verifyRejection,
  verifyTargetTokens,
} from '../src/index.ts';
import { type Fit, fit } from './fit.ts';
import { denseProbs, randomLogits, sampling } from './support.ts';

const VOCAB_SIZE = 16;
const NUM_ROUNDS = 200_000;
/** Enough to see what is wrong, or which of two rules keeps more. */
const FEW_ROUNDS = 20_000;
const K = 3;

const builder = new Sampler(VOCAB_SIZE);
const distributionsOf = (sign: 1 | -1, count: number, overrides: Partial<SamplingParams>): TokenDistribution[] =>
  Array.from({ length: count }, (_, i) => {
    const logits = randomLogits(100 + i, VOCAB_SIZE).map((x) => sign * x);
    return builder.distribution(logits, sampling(overrides));
  });

interface Pair {
  readonly vocabSize: number;
  readonly targetDistributions: readonly TokenDistribution[]; // [k + 1]
  readonly draftDistributions: readonly TokenDistribution[]; // [k]
  /** Where proposals really come from. */
  readonly drawnFrom: readonly TokenDistribution[]; // [k]
}

/** Draft logits = -target logits. */
function opposites(overrides: Partial<SamplingParams>, drawnFrom?: readonly TokenDistribution[]): Pair {
  const draftDistributions = distributionsOf(-1, K, overrides);
  return {
    vocabSize: VOCAB_SIZE,
    targetDistributions: distributionsOf(1, K + 1, overrides),
    draftDistributions,
    drawnFrom: drawnFrom ?? draftDistributions,
  };
}

/** Over 4,096 tokens: a draft that is the target plus noise, and draws from its 64 likeliest, as draft-services do. */
function manyTokens(temperatureOfDraws: number): Pair {
  const vocabSize = 4096;
  const sampler = new Sampler(vocabSize);
  const targetLogits = Array.from({ length: 3 }, (_, i) => randomLogits(200 + i, vocabSize, 6));
  const draftLogits = targetLogits.slice(0, 2).map((row, i) => {
    const noise = randomLogits(300 + i, vocabSize, 0.5);
    return row.map((logit, v) => logit + noise[v]!);
  });
  const drafts = (temperature: number) =>
    draftLogits.map((row) => sampler.distribution(row, sampling({ topK: 64, temperature })));
  return {
    vocabSize,
    targetDistributions: targetLogits.map((row) => sampler.distribution(row, sampling())),
    draftDistributions: drafts(1),
    drawnFrom: drafts(temperatureOfDraws),
  };
}

interface Round {
  readonly draftTokenIds: Int32Array;
  readonly outcome: VerificationOutcome;
}
type Rule = (pair: Pair, round: number) => Round;

const rng = new CounterRng(deriveSeed(2024, 'chi-square'));

const ruleOf =
  (verify: typeof verifyRejection): Rule =>
  ({ targetDistributions, draftDistributions, drawnFrom }, round) => {
    const draftTokenIds = Int32Array.from(drawnFrom, (q, i) => drawFrom(q, rng.uniform(STREAM.draftDraw, round, i)));
    const outcome = verify({
      draftTokenIds,
      draftDistributions,
      targetDistribution: (i) => targetDistributions[i]!,
      acceptanceUniforms: Float64Array.from(drawnFrom, (_, i) => rng.uniform(STREAM.acceptance, round, i)),
      followUniform: rng.uniform(STREAM.followDraw, round),
    });
    return { draftTokenIds, outcome };
  };
const rejection = ruleOf(verifyRejection);
const block = ruleOf(verifyBlock);

const coupledDraws = (distributions: readonly TokenDistribution[], round: number) =>
  Int32Array.from(distributions, (distribution, i) => drawCoupled(distribution, new CoupledNoise(round, i)));

const coupled: Rule = ({ targetDistributions, drawnFrom }, round) => {
  const draftTokenIds = coupledDraws(drawnFrom, round);
  return { draftTokenIds, outcome: verifyTargetTokens(draftTokenIds, coupledDraws(targetDistributions, round)) };
};

/** Biased: shared noise, and then rejection's test of the first guess. */
const ratioTestOfCoupled: Rule = ({ targetDistributions, draftDistributions, drawnFrom }, round) => {
  const draftTokenIds = coupledDraws(drawnFrom, round);
  const targetTokenIds = coupledDraws(targetDistributions, round);
  const [guess, p, q] = [draftTokenIds[0]!, targetDistributions[0]!, draftDistributions[0]!];
  const isKept = rng.uniform(STREAM.acceptance, round, 0) * probOf(q, guess) <= probOf(p, guess);
  if (isKept) targetTokenIds[0] = guess;
  return { draftTokenIds, outcome: verifyTargetTokens(draftTokenIds, targetTokenIds) };
};

/** One fit per position, over the rounds that reach it. Also the share of first drafts that were refused. */
function fitsOfRounds(
  rule: Rule,
  pair: Pair,
  numRounds = NUM_ROUNDS,
): { fits: Fit[]; refusals: number; meanKept: number } {
  const { vocabSize, targetDistributions } = pair;
  const observed = targetDistributions.map(() => new Array<number>(vocabSize).fill(0));
  let refusals = 0;
  let numKept = 0;
  for (let round = 0; round < numRounds; round++) {
    const { draftTokenIds, outcome } = rule(pair, round);
    const kept = outcome.numAcceptedTokens;
    for (let i = 0; i < kept; i++) observed[i]![draftTokenIds[i]!]!++;
    observed[kept]![outcome.bonusTokenId ?? outcome.recoveredTokenId]!++;
    numKept += kept;
    if (kept === 0) refusals++;
  }
  return {
    fits: observed.map((counts, i) => fit(counts, denseProbs(targetDistributions[i]!, vocabSize))),
    refusals: refusals / numRounds,
    meanKept: numKept / numRounds,
  };
}

describe('tokens follow the target’s distribution at every position that is reached, against the draft’s will', () => {
  it.each<[string, Partial<SamplingParams>, Rule]>([
    ['rejection', {}, rejection],
    ['rejection', { temperature: 1.5, topK: 13 }, rejection],
    ['rejection', { topP: 0.95 }, rejection],
    ['block', {}, block],
    ['block', { temperature: 1.5, topK: 13 }, block],
    ['block', { topP: 0.95 }, block],
    ['coupled', { topP: 0.95 }, coupled],
  ])('under %s verification: %j', (_name, overrides, rule) => {
    const { fits, refusals } = fitsOfRounds(rule, opposites(overrides));
    expect(refusals).toBeGreaterThan(0.4);
    for (const { chiSquare, limit, n } of fits) {
      expect(n).toBeGreaterThan(500);
      expect(chiSquare).toBeLessThan(limit);
    }
  });
});

describe.each([
  ['rejection', rejection],
  ['block', block],
])('tokens emitted by %s verification', (_name, rule) => {
  it('follow the target’s distribution of 4,096 tokens', () => {
    const { fits, refusals } = fitsOfRounds(rule, manyTokens(1));
    expect(refusals).toBeGreaterThan(0.1);
    for (const { chiSquare, limit, n } of fits) {
      expect(n).toBeGreaterThan(100_000);
      expect(chiSquare).toBeLessThan(limit);
    }
  });

  it.each<[number, Pair]>([
    [16, opposites({}, distributionsOf(-1, K, { temperature: 1.5 }))],
    [4096, manyTokens(1.3)],
  ])('do not if the proposals come from another distribution than stated, of %i tokens', (_vocabSize, pair) => {
    const { fits } = fitsOfRounds(rule, pair, FEW_ROUNDS);
    expect(fits[0]!.chiSquare).toBeGreaterThan(2 * fits[0]!.limit);
  });
});

it('tokens do not follow the target’s distribution where rejection judges guesses that share the target’s noise', () => {
  const { fits } = fitsOfRounds(ratioTestOfCoupled, opposites({}), FEW_ROUNDS);
  expect(fits[0]!.chiSquare).toBeGreaterThan(2 * fits[0]!.limit);
});

describe('block verification', () => {
  const meanKept = (rule: Rule, pair: Pair) => fitsOfRounds(rule, pair, FEW_ROUNDS).meanKept;

  it.each<[string, Pair]>([
    ['16 tokens', opposites({})],
    ['16 tokens with top-p', opposites({ topP: 0.95 })],
    ['4,096 tokens', manyTokens(1)],
  ])('keeps no fewer draft tokens than rejection, of the same drafts: %s', (_what, pair) => {
    expect(meanKept(block, pair)).toBeGreaterThanOrEqual(meanKept(rejection, pair));
  });

  it('keeps more of them at temperature 2', () => {
    const pair = opposites({ temperature: 2 });
    expect(meanKept(block, pair)).toBeGreaterThan(1.02 * meanKept(rejection, pair));
  });
});

/** Pairs of neighbours in texts of 6 tokens, one seed a text, each number addressed by the token's position. */
function fitOfPairs({ verify = verifyRejection, stream = STREAM.acceptance as number }): Fit {
  const [p, q] = [distributionsOf(1, 1, {})[0]!, distributionsOf(-1, 1, { temperature: 1.5 })[0]!];
  const observed = new Array<number>(VOCAB_SIZE * VOCAB_SIZE).fill(0);
  const draftDistributions = new Array<TokenDistribution>(K).fill(q);
  const targetDistributions = new Array<TokenDistribution>(K + 1).fill(p);
  for (let seed = 0; seed < 30_000; seed++) {
    const rng = new CounterRng(deriveSeed(seed, 'pairs'));
    const output: number[] = [];
    while (output.length < 6) {
      const start = output.length;
      const draftTokenIds = Int32Array.from({ length: K }, (_, i) =>
        drawFrom(q, rng.uniform(STREAM.draftDraw, start + i, i)),
      );
      const acceptanceUniforms = draftDistributions.map((_, i) => rng.uniform(stream, start + i, i));
      const followUniform = rng.uniform(STREAM.followDraw, start);
      const outcome = verify({
        draftTokenIds,
        draftDistributions,
        targetDistribution: (i) => targetDistributions[i]!,
        acceptanceUniforms,
        followUniform,
      });
      output.push(...draftTokenIds.subarray(0, outcome.numAcceptedTokens));
      output.push(outcome.bonusTokenId ?? outcome.recoveredTokenId);
    }
    for (let i = 0; i < 6; i += 2) observed[output[i]! * VOCAB_SIZE + output[i + 1]!]!++;
  }
  const probs = denseProbs(p, VOCAB_SIZE);
  return fit(
    observed,
    probs.flatMap((a) => probs.map((b) => a * b)),
  );
}

describe('noise that is addressed by seed, position and place in the round', () => {
  it.each([
    ['rejection', verifyRejection],
    ['block', verifyBlock],
  ])('leaves neighbouring tokens independent under %s verification', (_name, verify) => {
    const { chiSquare, limit } = fitOfPairs({ verify });
    expect(chiSquare).toBeLessThan(limit);
  });

  it('but not if the draft and the accept test share a stream', () => {
    const { chiSquare, limit } = fitOfPairs({ stream: STREAM.draftDraw });
    expect(chiSquare).toBeGreaterThan(2 * limit);
  });
});
