/** How an answer or a request that threw ended: a metric label, and a word in the log. */
import { ServiceError } from '@forerunner/protocol';

export function outcomeOf(error: unknown, signal: AbortSignal): 'cancelled' | 'refused' | 'failed' {
  if (signal.aborted) return 'cancelled';
  return error instanceof ServiceError && error.status < 500 ? 'refused' : 'failed';
}
