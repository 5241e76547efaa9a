/** What can go wrong in the engine, as stable codes that services map to their own errors. */

export type EngineErrorCode =
  | 'aborted'
  | 'closed'
  | 'context_overflow'
  | 'execution_provider_unavailable'
  | 'model_failed'
  | 'model_not_found'
  | 'model_unsupported'
  | 'out_of_memory'
  | 'overloaded'
  | 'runtime_unavailable'
  | 'sequence_mismatch'
  | 'token_out_of_range';

export class EngineError extends Error {
  override readonly name = 'EngineError';
  readonly code: EngineErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: EngineErrorCode, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
