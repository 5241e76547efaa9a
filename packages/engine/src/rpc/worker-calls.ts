/** The worker's side: answers calls until it is told to close, then lets the running ones end and goes. */
import { parentPort } from 'node:worker_threads';
import { type FromWorker, type ToWorker, toPlainError } from './messages.ts';

/** A method: what it returns is cloned, or, as part of a Transfer, moved. */
// biome-ignore lint/suspicious/noExplicitAny: payloads are typed by the methods themselves
export type Method = (payload: any, signal: AbortSignal) => unknown;
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

export interface WorkerService {
  readonly methods: Methods;
  /** What the asking thread learns when the worker is ready. */
  readonly info: unknown;
  /** After the last running call. */
  close(): Promise<void>;
}

export type WorkerLog = (message: string, fields: Readonly<Record<string, unknown>>) => void;

/** To be called once, by the worker's main module. A failed `start` is told to the host and ends the worker. */
export async function answerCalls(start: (log: WorkerLog) => Promise<WorkerService>): Promise<void> {
  if (!parentPort) throw new Error('this module runs in a worker thread only');
  const port = parentPort;
  const send = (message: FromWorker, buffers: readonly ArrayBuffer[] = []) => port.postMessage(message, [...buffers]);

  let service: WorkerService;
  try {
    service = await start((message, fields) => send({ type: 'log', message, fields }));
  } catch (error) {
    send({ type: 'failed', error: toPlainError(error) });
    return;
  }
  const running = new Map<number, AbortController>();
  const idle: (() => void)[] = [];

  const answer = async (id: number, name: string, payload: unknown) => {
    const abort = new AbortController();
    running.set(id, abort);
    try {
      const method = Object.hasOwn(service.methods, name) ? service.methods[name] : undefined;
      if (!method) throw new Error(`the worker has no method "${name}"`);
      const result = await method(payload, abort.signal);
      if (result instanceof Transfer) send({ type: 'result', id, value: result.value }, result.buffers);
      else send({ type: 'result', id, value: result });
    } catch (error) {
      send({ type: 'error', id, error: toPlainError(error) });
    } finally {
      running.delete(id);
      if (running.size === 0) for (const resolve of idle.splice(0)) resolve();
    }
  };

  const close = async () => {
    if (running.size > 0) await new Promise<void>((resolve) => idle.push(resolve));
    await service.close();
    port.close();
  };

  port.on('message', (message: ToWorker) => {
    if (message.type === 'call') void answer(message.id, message.method, message.payload);
    else if (message.type === 'cancel') running.get(message.id)?.abort();
    else void close();
  });
  send({ type: 'ready', info: service.info });
}
