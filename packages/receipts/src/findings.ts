/** What a replay can say of one token of an answer. */

/**
 * How far a token is from the one that should stand there:
 * - `log_probability`: of the two, after penalties and bias (greedy);
 * - `perturbed_logit`: logit / temperature - ln E, the number whose greatest wins a coupled draw;
 * - `log_ratio`: u · q and p, in an accept test;
 * - `probability`: the drawn number and the token's interval of the cumulative distribution.
 */
export type MarginUnit = 'log_probability' | 'perturbed_logit' | 'log_ratio' | 'probability';

export interface Difference {
  readonly kind: 'differs';
  /** What should have been; null where it cannot be told. */
  readonly expectedTokenId: number | null;
  /** Infinity: what is recorded cannot be, however the arithmetic rounds. */
  readonly margin: number;
  readonly unit: MarginUnit;
  readonly why: string;
}

export type Finding =
  /** Computed again from the target's row, and the same. */
  | { readonly kind: 'recomputed' }
  /** The target could have drawn it; whether it had to cannot be told. */
  | { readonly kind: 'supported'; readonly why: string }
  | { readonly kind: 'not_checked'; readonly why: string }
  | Difference;

export const RECOMPUTED: Finding = { kind: 'recomputed' };

export const differs = (
  unit: MarginUnit,
  margin: number,
  why: string,
  expectedTokenId: number | null = null,
): Difference => ({ kind: 'differs', expectedTokenId, margin, unit, why });
