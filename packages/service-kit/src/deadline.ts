/** A call that ends in time: with its reply, at its deadline, or when nobody wants it any more. */
import { PeerError } from './peer-error.ts';

/** A request under way. */
export interface Call<T> {
  /** Errors: why there is none; the reason of the abort. */
  readonly reply: Promise<T>;
  abort(reason: Error): void;
}

export interface Deadline {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes a call and waits for its reply. Errors: PeerError, of kind timeout or what `failure` makes of any other;
 * the signal's reason.
 */
export async function within<T>(
  { timeoutMs, signal }: Deadline,
  start: () => Call<T>,
  failure: { readonly where: string; readonly of: (cause: unknown) => PeerError },
): Promise<T> {
  signal?.throwIfAborted();
  const call = start();
  const abort = () => call.abort(signal?.reason as Error);
  signal?.addEventListener('abort', abort, { once: true });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    call.abort(new Error('late'));
  }, timeoutMs);
  try {
    return await call.reply;
  } catch (cause) {
    signal?.throwIfAborted();
    if (!isLate) throw failure.of(cause);
    throw new PeerError('timeout', `${failure.where}: no answer within ${timeoutMs} ms`, undefined, {}, { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
