/** Why nothing can be said about a receipt: it is no receipt, or no target can score it. The codes are stable. */
export type ReplayErrorCode =
  /** The command line is wrong. */
  | 'bad_argument'
  /** The file is not a receipt, or contradicts itself before anything is scored. */
  | 'bad_receipt'
  /** The prompt's token ids are neither in the receipt nor given. */
  | 'prompt_missing'
  /** The URL does not answer, or is not a target-service. */
  | 'target_unusable'
  /** The target-service's token ids mean other texts. */
  | 'tokenizer_mismatch';

export class ReplayError extends Error {
  override readonly name = 'ReplayError';
  readonly code: ReplayErrorCode;

  constructor(code: ReplayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
