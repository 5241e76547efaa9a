/** Why a checkpoint is not imported. The message is for the person who asked; it names file, tensor or field. */

export type ImportErrorCode =
  | 'no_checkpoint'
  | 'bad_checkpoint'
  | 'unsupported_tensor_type'
  | 'missing_tensor'
  | 'unknown_tensor'
  | 'unsupported_tokenizer'
  | 'unsupported_precision'
  | 'name_taken';

export class ImportError extends Error {
  override readonly name = 'ImportError';
  readonly code: ImportErrorCode;

  constructor(code: ImportErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
