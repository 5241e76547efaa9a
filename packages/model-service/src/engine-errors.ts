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

/** Throws whatever a call of the engine threw, as the error to answer with. For the end of the call's promise. */
export function throwFromEngine(error: unknown): never {
  const code = error instanceof EngineError ? SERVICE_CODES[error.code] : null;
  if (code === null) throw error;
  const { message, details } = error as EngineError;
  throw new ServiceError(code, message, details, { cause: error });
}
