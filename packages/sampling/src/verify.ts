/**
 * The rules that decide how many draft tokens are kept and which token follows, so that what is emitted has the
 * target's distribution. Pure functions: the uniforms are arguments, tokens and distributions are known. Stop conditions, counters and
 * emitting belong to the caller.
 */

import { oneHotDistribution, probOf } from './distribution.ts';
import { drawFrom } from './draw.ts';
import { SamplingError } from './errors.ts';
import { residualDistribution } from './residual.ts';
import type { TokenDistribution, VerificationOutcome } from './types.ts';

export interface RejectionInput {
  readonly draftTokenIds: Int32Array; // [k]
  /** The distributions that the tokens were really drawn from; a token without a distribution (n-gram, greedy) counts as one-hot. */
  readonly draftDistributions: readonly (TokenDistribution | undefined)[]; // [<= k]
  /** p at the position of each draft token, and at the one after the last. */
  readonly targetDistributions: readonly TokenDistribution[]; // [k + 1]
  /** In (0, 1], independent of the draft's noise and of each other. */
  readonly acceptanceUniforms: ArrayLike<number>; // [k]
  /** In (0, 1], independent of all of them: draws the recovered or the bonus token. */
  readonly followUniform: number;
}

/**
 * Rule 1, speculative sampling: Leviathan, Kalman, Matias 2023 (arXiv:2211.17192), Chen et al. 2023 (arXiv:2302.01318).
 * Keeps x_i while u_i · q_i(x_i) <= p_i(x_i); the first refusal draws from max(p_i - q_i, 0) and ends the round; after
 * none, the bonus token is drawn from p_{k+1}. `emptyResidual` tells that a refusal found p ≈ q and drew from p.
 * Dense rows are read for their sums up to the refusal, and compared only there.
 * Errors: draft_token_outside_distribution, invalid_distribution, invalid_argument.
 */
export function verifyRejection(input: RejectionInput): VerificationOutcome & { readonly emptyResidual: boolean } {
  const { draftTokenIds, draftDistributions, targetDistributions, acceptanceUniforms, followUniform } = input;
  const k = draftTokenIds.length;
  if (targetDistributions.length !== k + 1 || acceptanceUniforms.length < k || draftDistributions.length > k) {
    throw new SamplingError(
      'invalid_argument',
      `${k} draft tokens need ${k + 1} target distributions, ${k} uniforms and at most ${k} draft distributions, ` +
        `got ${targetDistributions.length}, ${acceptanceUniforms.length} and ${draftDistributions.length}`,
    );
  }
  for (let i = 0; i < k; i++) {
    const tokenId = draftTokenIds[i]!;
    const p = targetDistributions[i]!;
    const q = draftDistributions[i] ?? oneHotDistribution(tokenId);
    const draftProb = probOf(q, tokenId);
    if (draftProb === 0) {
      throw new SamplingError(
        'draft_token_outside_distribution',
        `draft token ${i} (id ${tokenId}) has probability 0 under the distribution it is said to come from`,
      );
    }
    if (acceptanceUniforms[i]! * draftProb <= probOf(p, tokenId)) continue;
    const residual = residualDistribution(p, q);
    const recoveredTokenId = drawFrom(residual ?? p, followUniform);
    return { numAcceptedTokens: i, recoveredTokenId, emptyResidual: residual === null };
  }
  return { numAcceptedTokens: k, bonusTokenId: drawFrom(targetDistributions[k]!, followUniform), emptyResidual: false };
}

/**
 * Rule 2, temperature 0: keeps draft tokens while they are the target's argmax (the lowest id wins ties, as in
 * `argmax`). `targetArgmaxTokenIds` [k + 1] as in `targetDistributions`. Errors: invalid_argument.
 */
export function verifyGreedy(draftTokenIds: Int32Array, targetArgmaxTokenIds: Int32Array): VerificationOutcome {
  const k = draftTokenIds.length;
  if (targetArgmaxTokenIds.length !== k + 1) {
    throw new SamplingError(
      'invalid_argument',
      `${k} draft tokens need ${k + 1} target tokens, got ${targetArgmaxTokenIds.length}`,
    );
  }
  for (let i = 0; i < k; i++) {
    const tokenId = targetArgmaxTokenIds[i]!;
    if (draftTokenIds[i] !== tokenId) return { numAcceptedTokens: i, recoveredTokenId: tokenId };
  }
  return { numAcceptedTokens: k, bonusTokenId: targetArgmaxTokenIds[k]! };
}
