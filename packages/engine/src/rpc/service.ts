/** Methods that a host calls, on the host's own thread or on a worker's. */

/** What it returns is cloned on its way to another thread, or, as part of a Transfer, moved. */
// biome-ignore lint/suspicious/noExplicitAny: payloads are typed by the methods themselves
type Method = (payload: any, signal: AbortSignal) => unknown;
export type Methods = Readonly<Record<string, Method>>;

/** A value whose buffers move to the other thread instead of being copied. */
export class Transfer<T> {
  readonly value: T;
  readonly buffers: readonly ArrayBuffer[];

  constructor(value: T, buffers: readonly ArrayBuffer[]) {
    this.value = value;
    this.buffers = buffers;
  }
}

export interface Service {
  readonly methods: Methods;
  /** What the host learns when the service is ready. */
  readonly info: unknown;
  /** After the last running call. */
  close(): Promise<void>;
}

/** The calls of a service: runs them, and ends it after the last one. */
export class ServiceCalls {
  readonly #service: Service;
  readonly #idle: (() => void)[] = [];
  #numRunning = 0;

  constructor(service: Service) {
    this.#service = service;
  }

  /** Errors: what the method throws; Error when there is none of that name. */
  async run(name: string, payload: unknown, signal: AbortSignal): Promise<unknown> {
    this.#numRunning++;
    try {
      const { methods } = this.#service;
      const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
      if (!method) throw new Error(`there is no method "${name}"`);
      return await method(payload, signal);
    } finally {
      this.#numRunning--;
      if (this.#numRunning === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** Waits for the running calls; whoever calls this lets no more in. */
  async close(): Promise<void> {
    if (this.#numRunning > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#service.close();
  }
}
