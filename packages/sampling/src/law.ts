/** Reading a law: its mass, and the probability of one token. Laws are never changed once they are made. */
import { SamplingError } from './errors.ts';
import type { TokenLaw } from './types.ts';

/** A TokenLaw, or one whose weights are kept in float64 (a residual). */
export type WeightedTokens = Pick<TokenLaw, 'tokenIds'> & { readonly probs: Float32Array | Float64Array };

const totals = new WeakMap<WeightedTokens, number>();

/** The law that always gives this token: a greedy choice, or a draft token that came without a law. */
export function oneHotLaw(tokenId: number): TokenLaw {
  return { tokenIds: Int32Array.of(tokenId), probs: Float32Array.of(1) };
}

/** Sum of the entries in float64, computed once per law. Errors: invalid_law (an entry below 0 or NaN, no mass). */
export function lawTotal(law: WeightedTokens): number {
  let total = totals.get(law);
  if (total === undefined) {
    total = sumOf(law.probs);
    totals.set(law, total);
  }
  return total;
}

/** Normalised probability of a token; 0 outside the support. Errors: invalid_law. */
export function probOf(law: WeightedTokens, tokenId: number): number {
  const at = law.tokenIds ? indexOf(law.tokenIds, tokenId) : tokenId;
  return (law.probs[at] ?? 0) / lawTotal(law);
}

function sumOf(probs: Float32Array | Float64Array): number {
  let total = 0;
  for (let i = 0; i < probs.length; i++) {
    const p = probs[i]!;
    if (!(p >= 0)) throw new SamplingError('invalid_law', `entry ${i} of the law is ${p}`);
    total += p;
  }
  if (!(total > 0 && total < Number.POSITIVE_INFINITY)) {
    throw new SamplingError('invalid_law', `the entries of the law add up to ${total}`);
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
