/** A service on the thread that calls it: nothing is cloned, and no call waits for another thread to wake. */
import { aborted, closed } from '../errors.ts';
import type { CallHost, CallOptions, Result } from './call-host.ts';
import { type Methods, type Service, ServiceCalls, Transfer } from './service.ts';

const NEVER = new AbortController().signal;

export class LocalHost<M extends Methods, Info> implements CallHost<M, Info> {
  readonly info: Info;
  readonly #calls: ServiceCalls;
  #closed: Promise<void> | undefined;

  /** `service`: with the methods of M and an info of its type, as a worker's would be. */
  constructor(service: Service) {
    this.info = service.info as Info;
    this.#calls = new ServiceCalls(service);
  }

  async call<K extends keyof M & string>(
    method: K,
    payload: Parameters<M[K]>[0],
    { signal = NEVER }: CallOptions = {},
  ): Promise<Result<ReturnType<M[K]>>> {
    if (this.#closed) throw closed('the model is closed');
    if (signal.aborted) throw aborted('the call was aborted before it was made');
    const result = await this.#calls.run(method, payload, signal);
    return (result instanceof Transfer ? result.value : result) as Result<ReturnType<M[K]>>;
  }

  close(): Promise<void> {
    this.#closed ??= this.#calls.close();
    return this.#closed;
  }
}
