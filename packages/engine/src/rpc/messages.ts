/** What crosses between a thread that asks and a worker that answers. */
import { EngineError, type EngineErrorCode } from '../errors.ts';
import type { EngineLog } from '../log.ts';

export type ToWorker =
  | { readonly type: 'call'; readonly id: number; readonly method: string; readonly payload: unknown }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'close' };

export type FromWorker =
  | { readonly type: 'ready'; readonly info: unknown }
  | { readonly type: 'failed'; readonly error: PlainError }
  | { readonly type: 'log'; readonly line: Parameters<EngineLog> }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: PlainError };

/** An error as data: its code survives the way, which structured cloning alone would drop. */
interface PlainError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly engine?: { readonly code: EngineErrorCode; readonly details: Readonly<Record<string, unknown>> };
}

export function toPlainError(error: unknown): PlainError {
  if (error instanceof EngineError) {
    return { message: error.message, stack: error.stack, engine: { code: error.code, details: error.details } };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { message, stack };
}

export function fromPlainError({ message, stack, engine }: PlainError): Error {
  const error = engine ? new EngineError(engine.code, message, engine.details) : new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
