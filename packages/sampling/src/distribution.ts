/** Reading a distribution: its mass, and the probability of one token. Distributions are never changed once they are made. */
import { SamplingError } from './errors.ts';
import type { TokenDistribution } from './types.ts';

/** A TokenDistribution, or one whose weights are kept in float64 (a residual). */
export type WeightedTokens = Pick<TokenDistribution, 'tokenIds'> & { readonly probs: Float32Array | Float64Array };

const totals = new WeakMap<WeightedTokens, number>();

/** The distribution that always gives this token: a greedy choice, or a draft token that came without a distribution. */
export function oneHotDistribution(tokenId: number): TokenDistribution {
  return { tokenIds: Int32Array.of(tokenId), probs: Float32Array.of(1) };
}

/** Sum of the entries in float64, computed once per distribution. Errors: invalid_distribution (an entry below 0 or NaN, no mass). */
export function distributionTotal(distribution: WeightedTokens): number {
  let total = totals.get(distribution);
  if (total === undefined) {
    total = sumOf(distribution.probs);
    totals.set(distribution, total);
  }
  return total;
}

/** Normalised probability of a token; 0 outside the support. Errors: invalid_distribution. */
export function probOf(distribution: WeightedTokens, tokenId: number): number {
  const at = distribution.tokenIds ? indexOf(distribution.tokenIds, tokenId) : tokenId;
  return (distribution.probs[at] ?? 0) / distributionTotal(distribution);
}

function sumOf(probs: Float32Array | Float64Array): number {
  let total = 0;
  for (let i = 0; i < probs.length; i++) {
    const p = probs[i]!;
    if (!(p >= 0)) throw new SamplingError('invalid_distribution', `entry ${i} of the distribution is ${p}`);
    total += p;
  }
  if (!(total > 0 && total < Number.POSITIVE_INFINITY)) {
    throw new SamplingError('invalid_distribution', `the entries of the distribution add up to ${total}`);
  }
  return total;
}

/** Binary search in ascending ids; -1 where the id is missing. */
function indexOf(tokenIds: Int32Array, tokenId: number): number {
  let low = 0;
  let high = tokenIds.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const id = tokenIds[middle]!;
    if (id === tokenId) return middle;
    if (id < tokenId) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
