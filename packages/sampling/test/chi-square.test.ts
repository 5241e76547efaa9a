/**
 * Proof 2: at scale, with the real generator and filters. V = 16, draft logits = -target logits (so that most drafts
 * are refused), N = 200,000 rounds; at every position, among the rounds that reach it, what is emitted follows the
 * target's distribution by chi-square. Each test has a twin that must fail.
 */
import { describe, expect, it } from 'vitest';
import {
  CounterRng,
  deriveSeed,
  drawFrom,
  Sampler,
  type SamplingParams,
  STREAM,
  type TokenDistribution,
  verifyBlock,
  verifyRejection,
} from '../src/index.ts';
import { type Fit, fit } from './fit.ts';
import { denseProbs, randomLogits, sampling } from './support.ts';

const VOCAB_SIZE = 16;
const NUM_ROUNDS = 200_000;
const K = 3;

const builder = new Sampler(VOCAB_SIZE);
const distributionsOf = (sign: 1 | -1, count: number, overrides: Partial<SamplingParams>): TokenDistribution[] =>
  Array.from({ length: count }, (_, i) => {
    const logits = randomLogits(100 + i, VOCAB_SIZE).map((x) => sign * x);
    return builder.distribution(logits, sampling(overrides));
  });

type Rule = typeof verifyRejection;
const RULES: [string, Rule][] = [
  ['rejection', verifyRejection],
  ['block', verifyBlock],
];

/** One fit per position 0..K, over the rounds that reach it. Also the share of first drafts that were refused. */
function fitsOfRounds(
  verify: Rule,
  overrides: Partial<SamplingParams>,
  drawnFrom?: TokenDistribution[],
): { fits: Fit[]; refusals: number; meanKept: number } {
  const targetDistributions = distributionsOf(1, K + 1, overrides);
  const draftDistributions = distributionsOf(-1, K, overrides);
  const observed = Array.from({ length: K + 1 }, () => new Array<number>(VOCAB_SIZE).fill(0));
  const rng = new CounterRng(deriveSeed(2024, 'chi-square'));
  const draftTokenIds = new Int32Array(K);
  const acceptanceUniforms = new Float64Array(K);
  let refusals = 0;
  let numKept = 0;
  for (let round = 0; round < NUM_ROUNDS; round++) {
    for (let i = 0; i < K; i++) {
      draftTokenIds[i] = drawFrom((drawnFrom ?? draftDistributions)[i]!, rng.uniform(STREAM.draftDraw, round, i));
      acceptanceUniforms[i] = rng.uniform(STREAM.acceptance, round, i);
    }
    const followUniform = rng.uniform(STREAM.followDraw, round);
    const outcome = verify({
      draftTokenIds,
      draftDistributions,
      targetDistribution: (i) => targetDistributions[i]!,
      acceptanceUniforms,
      followUniform,
    });
    const kept = outcome.numAcceptedTokens;
    for (let i = 0; i < kept; i++) observed[i]![draftTokenIds[i]!]!++;
    observed[kept]![outcome.bonusTokenId ?? outcome.recoveredTokenId]!++;
    numKept += kept;
    if (kept === 0) refusals++;
  }
  return {
    fits: observed.map((counts, i) => fit(counts, denseProbs(targetDistributions[i]!, VOCAB_SIZE))),
    refusals: refusals / NUM_ROUNDS,
    meanKept: numKept / NUM_ROUNDS,
  };
}

describe.each(RULES)('tokens emitted by %s verification follow the target’s distribution', (_name, verify) => {
  it.each<Partial<SamplingParams>>([{}, { temperature: 1.5, topK: 13 }, { topP: 0.95 }])(
    'at every position that is reached: %j',
    (overrides) => {
      const { fits, refusals } = fitsOfRounds(verify, overrides);
      expect(refusals).toBeGreaterThan(0.4);
      for (const { chiSquare, limit, n } of fits) {
        expect(n).toBeGreaterThan(500);
        expect(chiSquare).toBeLessThan(limit);
      }
    },
  );

  it('but not if the proposals come from another distribution than stated', () => {
    const { fits } = fitsOfRounds(verify, {}, distributionsOf(-1, K, { temperature: 1.3 }));
    expect(fits[0]!.chiSquare).toBeGreaterThan(2 * fits[0]!.limit);
  });
});

describe('block verification', () => {
  it('keeps more draft tokens than rejection does, of the same drafts', () => {
    const kept = (verify: Rule) => fitsOfRounds(verify, { temperature: 2 }).meanKept;
    expect(kept(verifyBlock)).toBeGreaterThan(1.02 * kept(verifyRejection));
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
  it.each(RULES)('leaves neighbouring tokens independent under %s verification', (_name, verify) => {
    const { chiSquare, limit } = fitOfPairs({ verify });
    expect(chiSquare).toBeLessThan(limit);
  });

  it('but not if the draft and the accept test share a stream', () => {
    const { chiSquare, limit } = fitOfPairs({ stream: STREAM.draftDraw });
    expect(chiSquare).toBeGreaterThan(2 * limit);
  });
});
