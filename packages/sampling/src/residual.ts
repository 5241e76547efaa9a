/** What is left of the target's distribution where the draft's is taken away: the distribution of the token after a refusal. */
import { distributionTotal, type WeightedTokens } from './distribution.ts';
import type { TokenDistribution } from './types.ts';

/** Mass below which a residual is rounding noise of two equal distributions. */
const EMPTY_RESIDUAL_MASS = 1e-14;

/**
 * max(share · p - q, 0) over the support of p, of the normalised distributions, in float64 (not normalised again). null
 * where it is empty, that is share · p ≈ q. Errors: invalid_distribution.
 */
export function residualDistribution(p: TokenDistribution, q: TokenDistribution, share = 1): WeightedTokens | null {
  const pScale = share / distributionTotal(p);
  const probs = new Float64Array(p.probs.length);
  let mass = 0;
  const qAt = ascendingReader(q);
  for (let i = 0; i < probs.length; i++) {
    const excess = p.probs[i]! * pScale - qAt(p.tokenIds ? p.tokenIds[i]! : i);
    if (!(excess > 0)) continue;
    probs[i] = excess;
    mass += excess;
  }
  return mass > EMPTY_RESIDUAL_MASS ? { tokenIds: p.tokenIds, probs } : null;
}

/** Σ min(share · p, q), of the normalised distributions; only the support of q is looked at. Errors: invalid_distribution. */
export function overlap(share: number, p: TokenDistribution, q: TokenDistribution): number {
  const qScale = 1 / distributionTotal(q);
  const pAt = ascendingReader(p);
  let sum = 0;
  for (let j = 0; j < q.probs.length; j++) {
    sum += Math.min(share * pAt(q.tokenIds ? q.tokenIds[j]! : j), q.probs[j]! * qScale);
  }
  return sum;
}

/** Normalised probabilities of token ids that are asked for in ascending order; 0 outside the support. */
function ascendingReader(distribution: TokenDistribution): (tokenId: number) => number {
  const { tokenIds, probs } = distribution;
  const scale = 1 / distributionTotal(distribution);
  let j = 0;
  return (tokenId) => {
    if (!tokenIds) return (probs[tokenId] ?? 0) * scale;
    while (j < tokenIds.length && tokenIds[j]! < tokenId) j++;
    return tokenIds[j] === tokenId ? probs[j]! * scale : 0;
  };
}
