/**
 * The asking thread's side of a worker: typed calls that can be cancelled, errors that keep their codes, and a clear end
 * when the worker dies. Never terminates a worker: in the middle of a pass that would abort the process.
 */
import { Worker } from 'node:worker_threads';
import { aborted, closed, type EngineError } from '../errors.ts';
import type { EngineLog } from '../log.ts';
import type { CallHost, CallOptions, Result } from './call-host.ts';
import { type FromWorker, fromPlainError, type ToWorker } from './messages.ts';
import type { Methods } from './service.ts';

export interface WorkerHostOptions {
  readonly script: URL;
  /** Cloned into the worker. */
  readonly workerData: unknown;
  readonly log: EngineLog;
  /** The worker is gone although nobody closed it. Pending calls have failed by then. */
  readonly onDeath: (reason: Error) => void;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly settle: () => void;
}

export class WorkerHost<M extends Methods, Info> implements CallHost<M, Info> {
  readonly info: Info;
  readonly #worker: Worker;
  readonly #onDeath: (reason: Error) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #nextId = 0;
  #gone: Error | undefined;
  #isClosing = false;

  /** Resolves when the worker is ready. Errors: what its start threw, or why it died. */
  static async start<M extends Methods, Info>(options: WorkerHostOptions): Promise<WorkerHost<M, Info>> {
    const worker = new Worker(options.script, { workerData: options.workerData });
    const info = await new Promise<Info>((resolve, reject) => {
      worker.on('message', function first(message: FromWorker) {
        if (message.type === 'log') {
          options.log(...message.line);
          return;
        }
        worker.off('message', first);
        if (message.type === 'ready') resolve(message.info as Info);
        else if (message.type === 'failed') reject(fromPlainError(message.error));
      });
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`the worker ended with code ${code} before it was ready`)));
    });
    return new WorkerHost<M, Info>(worker, info, options);
  }

  private constructor(worker: Worker, info: Info, options: WorkerHostOptions) {
    this.#worker = worker;
    this.info = info;
    this.#onDeath = options.onDeath;
    worker.on('message', (message: FromWorker) => this.#receive(message, options.log));
    worker.on('error', (error) => this.#die(error as Error));
    this.#exited = new Promise((resolve) => {
      worker.once('exit', (code) => {
        this.#die(new Error(`the worker ended with code ${code}`));
        resolve();
      });
    });
  }

  call<K extends keyof M & string>(
    method: K,
    payload: Parameters<M[K]>[0],
    { signal, transfer }: CallOptions = {},
  ): Promise<Result<ReturnType<M[K]>>> {
    return new Promise((resolve, reject) => {
      if (this.#gone || this.#isClosing) throw closedError(this.#gone);
      if (signal?.aborted) throw aborted('the call was aborted before it was made');
      const id = this.#nextId++;
      const cancel = () => this.#send({ type: 'cancel', id });
      signal?.addEventListener('abort', cancel, { once: true });
      const settle = () => {
        this.#pending.delete(id);
        signal?.removeEventListener('abort', cancel);
      };
      this.#pending.set(id, { resolve, reject, settle });
      this.#send({ type: 'call', id, method, payload }, transfer);
    });
  }

  async close(): Promise<void> {
    if (!this.#gone && !this.#isClosing) {
      this.#isClosing = true;
      this.#send({ type: 'close' });
    }
    await this.#exited;
  }

  #send(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, [...transfer]);
  }

  #receive(message: FromWorker, log: EngineLog): void {
    if (message.type === 'log') {
      log(...message.line);
      return;
    }
    if (message.type !== 'result' && message.type !== 'error') return;
    const call = this.#pending.get(message.id);
    if (!call) return;
    call.settle();
    if (message.type === 'result') call.resolve(message.value as never);
    else call.reject(fromPlainError(message.error));
  }

  #die(reason: Error): void {
    if (this.#gone) return;
    this.#gone = reason;
    for (const call of [...this.#pending.values()]) {
      call.settle();
      call.reject(closedError(reason));
    }
    if (!this.#isClosing) this.#onDeath(reason);
  }
}

function closedError(reason: Error | undefined): EngineError {
  return closed(`the model's worker is gone${reason ? `: ${reason.message}` : ''}`);
}
