/** Whoever calls a service's methods, wherever they run. */
import type { Methods, Transfer } from './service.ts';

export type Result<T> = Awaited<T> extends Transfer<infer V> ? V : Awaited<T>;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Buffers of the payload that the method may have for itself. */
  readonly transfer?: readonly ArrayBuffer[];
}

export interface CallHost<M extends Methods, Info> {
  readonly info: Info;
  /**
   * Errors: what the method threw (an EngineError keeps code and details); EngineError closed once the service is gone.
   * An abort is passed on; the call settles when the method does, which then usually throws EngineError aborted.
   */
  call<K extends keyof M & string>(
    method: K,
    payload: Parameters<M[K]>[0],
    options?: CallOptions,
  ): Promise<Result<ReturnType<M[K]>>>;
  /** Takes no more calls, waits for the running ones and for the service's end. Idempotent. */
  close(): Promise<void>;
}
