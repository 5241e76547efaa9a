/**
 * The rules that weigh p against q: how many draft tokens are kept and which token follows, so that what is emitted has
 * the target's distribution. Pure functions: the uniforms are arguments, tokens and distributions are known. Stop
 * conditions, counters and emitting belong to the caller.
 */

import { oneHotDistribution, probOf } from './distribution.ts';
import { drawFrom } from './draw.ts';
import { SamplingError } from './errors.ts';
import { overlap, residualDistribution } from './residual.ts';
import type { TokenDistribution, VerificationOutcome } from './types.ts';

export interface SampledRound {
  readonly draftTokenIds: Int32Array; // [k]
  /** The distributions that the tokens were really drawn from; a token without a distribution (n-gram, greedy) counts as one-hot. */
  readonly draftDistributions: readonly (TokenDistribution | undefined)[]; // [<= k]
  /** p at the position of draft token i, 0 <= i < k, and at the one after the last; asked for in order, as far as needed. */
  readonly targetDistribution: (i: number) => TokenDistribution;
  /** In (0, 1], independent of the draft's noise and of each other. */
  readonly acceptanceUniforms: ArrayLike<number>; // [k]
  /** In (0, 1], independent of all of them: draws the recovered or the bonus token. */
  readonly followUniform: number;
}

/** `emptyResidual`: a refusal found p ≈ q, and drew from p. */
export type SampledVerdict = VerificationOutcome & { readonly emptyResidual: boolean };

/**
 * Rule 1, speculative sampling: Leviathan, Kalman, Matias 2023 (arXiv:2211.17192), Chen et al. 2023 (arXiv:2302.01318).
 * Keeps x_i while u_i · q_i(x_i) <= p_i(x_i); the first refusal draws from max(p_i - q_i, 0) and ends the round; after
 * none, the bonus token is drawn from p_{k+1}.
 * Errors: draft_token_outside_distribution, invalid_distribution, invalid_argument.
 */
export function verifyRejection(round: SampledRound): SampledVerdict {
  const { draftTokenIds, targetDistribution, acceptanceUniforms, followUniform } = checked(round);
  const k = draftTokenIds.length;
  for (let i = 0; i < k; i++) {
    const tokenId = draftTokenIds[i]!;
    const q = draftDistribution(round, i);
    const p = targetDistribution(i);
    if (acceptanceUniforms[i]! * draftProbOf(q, tokenId, i) <= probOf(p, tokenId)) continue;
    return recovered(i, p, residualDistribution(p, q), followUniform);
  }
  return { numAcceptedTokens: k, bonusTokenId: drawFrom(targetDistribution(k), followUniform), emptyResidual: false };
}

/**
 * Rule 4, block verification: Sun et al. 2024 (arXiv:2403.10444). With r_0 = 1, r_i = min(1, r_{i-1} · p_i(x_i) / q_i(x_i))
 * and the residual mass R_i = Σ max(r_i · p_{i+1} - q_{i+1}, 0), draft token i < k passes with probability
 * R_i / (R_i + 1 - r_i), the last one with r_k. All up to the *last* one that passes are kept, whatever failed before it; what
 * follows is drawn from the normalised max(r · p - q, 0) there, the bonus token from p_{k+1}. In expectation it keeps
 * never fewer than rule 1. Errors: as above.
 */
export function verifyBlock(round: SampledRound): SampledVerdict {
  const { draftTokenIds, targetDistribution, acceptanceUniforms, followUniform } = checked(round);
  const k = draftTokenIds.length;
  const p: TokenDistribution[] = [];
  const at = (i: number): TokenDistribution => {
    p[i] ??= targetDistribution(i);
    return p[i]!;
  };
  const r = [1]; // [numKnown + 1]
  let kept = 0;
  for (let i = 1; i <= k && r[i - 1]! > 0; i++) {
    const tokenId = draftTokenIds[i - 1]!;
    const draftProb = draftProbOf(draftDistribution(round, i - 1), tokenId, i - 1);
    r[i] = Math.min(1, (r[i - 1]! * probOf(at(i - 1), tokenId)) / draftProb);
    const residualMass = i < k ? r[i]! - overlap(r[i]!, at(i), draftDistribution(round, i)) : 0;
    const passes = i < k ? Math.max(residualMass, 0) / (Math.max(residualMass, 0) + 1 - r[i]!) : r[i]!;
    if (acceptanceUniforms[i - 1]! <= passes) kept = i; // false where p = q makes it 0 / 0: a later one is kept then
  }
  if (kept === k)
    return { numAcceptedTokens: k, bonusTokenId: drawFrom(targetDistribution(k), followUniform), emptyResidual: false };
  return recovered(
    kept,
    at(kept),
    residualDistribution(at(kept), draftDistribution(round, kept), r[kept]),
    followUniform,
  );
}

function recovered(
  numAcceptedTokens: number,
  p: TokenDistribution,
  residual: ReturnType<typeof residualDistribution>,
  followUniform: number,
): SampledVerdict {
  const recoveredTokenId = drawFrom(residual ?? p, followUniform);
  return { numAcceptedTokens, recoveredTokenId, emptyResidual: residual === null };
}

function draftDistribution({ draftDistributions, draftTokenIds }: SampledRound, i: number): TokenDistribution {
  return draftDistributions[i] ?? oneHotDistribution(draftTokenIds[i]!);
}

function draftProbOf(q: TokenDistribution, tokenId: number, i: number): number {
  const prob = probOf(q, tokenId);
  if (prob > 0) return prob;
  throw new SamplingError(
    'draft_token_outside_distribution',
    `draft token ${i} (id ${tokenId}) has probability 0 under the distribution it is said to come from`,
  );
}

function checked(round: SampledRound): SampledRound {
  const { draftTokenIds, draftDistributions, acceptanceUniforms } = round;
  const k = draftTokenIds.length;
  if (acceptanceUniforms.length >= k && draftDistributions.length <= k) return round;
  throw new SamplingError(
    'invalid_argument',
    `${k} draft tokens need ${k} uniforms and at most ${k} draft distributions, ` +
      `got ${acceptanceUniforms.length} and ${draftDistributions.length}`,
  );
}
