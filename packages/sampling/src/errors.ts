/** What can go wrong in this package, as stable codes that callers map to their own errors. */

export type SamplingErrorCode =
  /** A draft token has probability 0 under the distribution it is said to come from: the other side breaks the protocol. */
  | 'draft_token_outside_distribution'
  /** An argument breaks its documented bounds or shape. */
  | 'invalid_argument'
  /** A distribution with a negative, NaN or infinite entry, or without any mass. */
  | 'invalid_distribution'
  /** A row with NaN or +Infinity, or with nothing but -Infinity. */
  | 'invalid_logits';

export class SamplingError extends Error {
  override readonly name = 'SamplingError';
  readonly code: SamplingErrorCode;

  constructor(code: SamplingErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
