/**
 * Proof 2: at scale, with the real generator and filters. V = 16, draft logits = -target logits (so that most drafts
 * are refused), N = 200,000 rounds; at every position, among the rounds that reach it, what is emitted follows the
 * target's distribution by chi-square. Each test has a twin that must fail.
 */
import { describe, expect, it } from 'vitest';
import {
  CounterRng,
  DistributionBuilder,
  deriveSeed,
  drawFrom,
  type SamplingParams,
  STREAM,
  type TokenDistribution,
  verifyRejection,
} from '../src/index.ts';
import { denseProbs, randomLogits, sampling } from './support.ts';

const VOCAB_SIZE = 16;
const NUM_ROUNDS = 200_000;
const K = 3;
const MIN_EXPECTED = 5;

const builder = new DistributionBuilder(VOCAB_SIZE);
const distributionsOf = (sign: 1 | -1, count: number, overrides: Partial<SamplingParams>): TokenDistribution[] =>
  Array.from({ length: count }, (_, i) => {
    const logits = randomLogits(100 + i, VOCAB_SIZE).map((x) => sign * x);
    return builder.distribution(logits, sampling(overrides));
  });

interface Fit {
  readonly chiSquare: number;
  readonly limit: number;
  readonly n: number;
}

/** Pearson's statistic and the limit df + 10·√(2·df); bins that expect fewer than 5 are merged into one. */
function fit(observed: readonly number[], probs: readonly number[]): Fit {
  const n = observed.reduce((a, b) => a + b, 0);
  const bins: { observed: number; expected: number }[] = [];
  const rare = { observed: 0, expected: 0 };
  probs.forEach((p, id) => {
    const bin = { observed: observed[id]!, expected: n * p };
    if (bin.expected >= MIN_EXPECTED) bins.push(bin);
    else {
      rare.observed += bin.observed;
      rare.expected += bin.expected;
    }
  });
  if (rare.expected > 0) bins.push(rare);
  else if (rare.observed > 0) return { chiSquare: Infinity, limit: 0, n };
  const df = bins.length - 1;
  const chiSquare = bins.reduce((sum, bin) => sum + (bin.observed - bin.expected) ** 2 / bin.expected, 0);
  return { chiSquare, limit: df + 10 * Math.sqrt(2 * df), n };
}

/** One fit per position 0..K, over the rounds that reach it. Also the share of first drafts that were refused. */
function fitsOfRounds(
  overrides: Partial<SamplingParams>,
  drawnFrom?: TokenDistribution[],
): { fits: Fit[]; refusals: number } {
  const targetDistributions = distributionsOf(1, K + 1, overrides);
  const draftDistributions = distributionsOf(-1, K, overrides);
  const observed = Array.from({ length: K + 1 }, () => new Array<number>(VOCAB_SIZE).fill(0));
  const rng = new CounterRng(deriveSeed(2024, 'chi-square'));
  const draftTokenIds = new Int32Array(K);
  const acceptanceUniforms = new Float64Array(K);
  let refusals = 0;
  for (let round = 0; round < NUM_ROUNDS; round++) {
    for (let i = 0; i < K; i++) {
      draftTokenIds[i] = drawFrom((drawnFrom ?? draftDistributions)[i]!, rng.uniform(STREAM.draftDraw, round, i));
      acceptanceUniforms[i] = rng.uniform(STREAM.acceptance, round, i);
    }
    const followUniform = rng.uniform(STREAM.followDraw, round);
    const outcome = verifyRejection({
      draftTokenIds,
      draftDistributions,
      targetDistributions,
      acceptanceUniforms,
      followUniform,
    });
    const kept = outcome.numAcceptedTokens;
    for (let i = 0; i < kept; i++) observed[i]![draftTokenIds[i]!]!++;
    observed[kept]![outcome.bonusTokenId ?? outcome.recoveredTokenId]!++;
    if (kept === 0) refusals++;
  }
  return {
    fits: observed.map((counts, i) => fit(counts, denseProbs(targetDistributions[i]!, VOCAB_SIZE))),
    refusals: refusals / NUM_ROUNDS,
  };
}

describe('emitted tokens follow the target’s distribution at every position that is reached', () => {
  it.each<Partial<SamplingParams>>([{}, { temperature: 1.5, topK: 13 }, { topP: 0.95 }])('%j', (overrides) => {
    const { fits, refusals } = fitsOfRounds(overrides);
    expect(refusals).toBeGreaterThan(0.4);
    for (const { chiSquare, limit, n } of fits) {
      expect(n).toBeGreaterThan(500);
      expect(chiSquare).toBeLessThan(limit);
    }
  });

  it('but not if the proposals come from another distribution than stated', () => {
    const { fits } = fitsOfRounds({}, distributionsOf(-1, K, { temperature: 1.3 }));
    expect(fits[0]!.chiSquare).toBeGreaterThan(2 * fits[0]!.limit);
  });
});

/** Pairs of neighbours in texts of 6 tokens, one seed a text, each number addressed by the token's position. */
function fitOfPairs(acceptanceStream: number): Fit {
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
        drawFrom(q, rng.uniform(STREAM.draftDraw, start + i)),
      );
      const acceptanceUniforms = draftDistributions.map((_, i) => rng.uniform(acceptanceStream, start + i));
      const followUniform = rng.uniform(STREAM.followDraw, start);
      const outcome = verifyRejection({
        draftTokenIds,
        draftDistributions,
        targetDistributions,
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

describe('noise that is addressed by seed and position', () => {
  it('leaves neighbouring tokens independent, though refused positions are drafted again with the same noise', () => {
    const { chiSquare, limit } = fitOfPairs(STREAM.acceptance);
    expect(chiSquare).toBeLessThan(limit);
  });

  it('but not if the draft and the accept test share a stream', () => {
    const { chiSquare, limit } = fitOfPairs(STREAM.draftDraw);
    expect(chiSquare).toBeGreaterThan(2 * limit);
  });
});
