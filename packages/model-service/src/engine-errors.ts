/** The one table from the engine's errors to what a caller is told. */
import { EngineError, type EngineErrorCode } from '@forerunner/engine/host';
import { type ErrorCode, ServiceError } from '@forerunner/protocol';

/** null: nothing that a caller could act on; it is logged whole and answered with a fixed text. */
const SERVICE_CODES: Record<EngineErrorCode, ErrorCode | null> = {
  aborted: 'client_closed_request',
  closed: 'shutting_down',
  context_overflow: 'context_length_exceeded',
  execution_provider_unavailable: null,
  model_failed: null,
  model_not_found: null,
  model_unsupported: null,
  out_of_memory: 'kv_budget_exceeded',
  overloaded: 'overloaded',
  runtime_unavailable: null,
  sequence_mismatch: 'sequence_mismatch',
  token_out_of_range: 'token_out_of_range',
};

/** Whatever a call of the engine threw, as the error to answer with. */
export function fromEngine(error: unknown): unknown {
  const code = error instanceof EngineError ? SERVICE_CODES[error.code] : null;
  if (code === null) return error;
  const { message, details } = error as EngineError;
  return new ServiceError(code, message, details, { cause: error });
}
