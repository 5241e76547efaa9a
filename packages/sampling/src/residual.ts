/** What is left of the target's distribution where the draft's is taken away: the distribution of the token after a refusal. */
import { distributionTotal, type WeightedTokens } from './distribution.ts';
import type { TokenDistribution } from './types.ts';

/** Mass below which a residual is rounding noise of two equal distributions. */
const EMPTY_RESIDUAL_MASS = 1e-14;

/**
 * max(p - q, 0) over the support of p, of the normalised distributions, in float64 (not normalised again: its mass is the
 * probability of a refusal). null where it is empty, that is p ≈ q. Errors: invalid_distribution.
 */
export function residualDistribution(p: TokenDistribution, q: TokenDistribution): WeightedTokens | null {
  const pScale = 1 / distributionTotal(p);
  const qScale = 1 / distributionTotal(q);
  const probs = new Float64Array(p.probs.length);
  let mass = 0;
  let j = 0; // place in a sparse q; both supports ascend
  for (let i = 0; i < probs.length; i++) {
    const tokenId = p.tokenIds ? p.tokenIds[i]! : i;
    if (q.tokenIds) while (j < q.tokenIds.length && q.tokenIds[j]! < tokenId) j++;
    else j = tokenId;
    const inQ = j < q.probs.length && (!q.tokenIds || q.tokenIds[j] === tokenId);
    const excess = p.probs[i]! * pScale - (inQ ? q.probs[j]! * qScale : 0);
    if (!(excess > 0)) continue;
    probs[i] = excess;
    mass += excess;
  }
  return mass > EMPTY_RESIDUAL_MASS ? { tokenIds: p.tokenIds, probs } : null;
}
