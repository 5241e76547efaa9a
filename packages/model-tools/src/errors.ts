/**
 * What a tool may say instead of writing a model, beside a GraphError about the graph itself. The message is for the
 * person who imports it.
 */

export type ModelToolErrorCode = 'check_failed' | 'bad_folder';

export class ModelToolError extends Error {
  override readonly name = 'ModelToolError';
  readonly code: ModelToolErrorCode;

  constructor(code: ModelToolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
