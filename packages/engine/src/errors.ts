/**
 * What can go wrong in the engine, as stable codes that services map to their own errors, and the one way to make each.
 * Details go into the body of an HTTP answer as they are, hence their snake_case.
 */

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

  constructor(code: EngineErrorCode, message: string, details: object = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = { ...details };
  }
}

export function aborted(message: string, cause?: unknown): EngineError {
  return new EngineError('aborted', message, {}, causedBy(cause));
}

export function closed(message: string): EngineError {
  return new EngineError('closed', message);
}

/** `what` there is too much of, when it is more than a number of tokens. */
export function contextOverflow(
  numTokens: number,
  contextLength: number,
  what: string = `${numTokens} tokens`,
): EngineError {
  const message = `${what} exceed the context of ${contextLength}`;
  return new EngineError('context_overflow', message, { num_tokens: numTokens, context_length: contextLength });
}

export function modelFailed(cause: Error): EngineError {
  return new EngineError('model_failed', `the pass failed: ${cause.message}`, {}, { cause });
}

export function modelNotFound(message: string, details: object = {}, cause?: unknown): EngineError {
  return new EngineError('model_not_found', message, details, causedBy(cause));
}

export function modelUnsupported(message: string, details: object = {}, cause?: unknown): EngineError {
  return new EngineError('model_unsupported', message, details, causedBy(cause));
}

export function outOfMemory(message: string, neededBytes: number, cause?: unknown): EngineError {
  return new EngineError('out_of_memory', message, { needed_bytes: neededBytes }, causedBy(cause));
}

export function kvBudgetExceeded(budgetBytes: number, neededBytes: number, usedBytes: number): EngineError {
  const message = `the KV cache budget of ${budgetBytes} bytes has no room for ${neededBytes} more: ${usedBytes} are in use`;
  return new EngineError('out_of_memory', message, { budget_bytes: budgetBytes, needed_bytes: neededBytes });
}

export function overloaded(numRequests: number): EngineError {
  return new EngineError('overloaded', `${numRequests} requests are under way, the most that are taken`);
}

export function providerUnavailable(provider: string, reason: string, cause?: unknown): EngineError {
  const message = `the execution provider ${provider} is not available: ${reason}`;
  return new EngineError('execution_provider_unavailable', message, { provider }, causedBy(cause));
}

export function runtimeUnavailable(message: string, cause?: unknown): EngineError {
  return new EngineError('runtime_unavailable', message, {}, causedBy(cause));
}

export function sequenceMismatch(message: string, cachedLength: number): EngineError {
  return new EngineError('sequence_mismatch', message, { cached_length: cachedLength });
}

export function tokenOutOfRange(tokenId: number, index: number, vocabSize: number): EngineError {
  const message = `token id ${tokenId} at index ${index} is outside 0..${vocabSize - 1}`;
  return new EngineError('token_out_of_range', message, { index, vocab_size: vocabSize });
}

function causedBy(cause: unknown): ErrorOptions | undefined {
  return cause === undefined ? undefined : { cause };
}
