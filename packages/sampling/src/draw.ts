/** One token from a distribution and one uniform number. Where the number comes from is the caller's business (rng.ts). */
import { distributionTotal, type WeightedTokens } from './distribution.ts';

/**
 * Inverse cumulative distribution in float64: the first token id at which the cumulative mass reaches u · total.
 * u in (0, 1]; a token of probability 0 is never drawn. Errors: invalid_distribution.
 */
export function drawFrom(distribution: WeightedTokens, u: number): number {
  const { tokenIds, probs } = distribution;
  const target = u * distributionTotal(distribution); // > 0, so a leading 0 does not reach it; u = 1 is reached exactly, by the same sum
  let cumulative = 0;
  let i = 0;
  for (; i < probs.length - 1; i++) {
    cumulative += probs[i]!;
    if (cumulative >= target) break;
  }
  return tokenIds ? tokenIds[i]! : i;
}
