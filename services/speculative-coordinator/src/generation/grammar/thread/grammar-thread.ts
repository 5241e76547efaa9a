/**
 * One grammar thread from the coordinator's side: calls with answers, and its end. A thread may be ended at any time,
 * also in the middle of a call: nothing but its own memory is lost.
 */
import { Worker } from 'node:worker_threads';
import type { GrammarCall, GrammarReply, GrammarRequest, GrammarThreadData } from './messages.ts';

/** A call that the thread answered with a reason why not. */
export class GrammarCallError extends Error {
  override readonly name = 'GrammarCallError';
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

export class GrammarThread {
  /** Resolves when the vocabulary is read. Errors: what its start threw. */
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #numMatchers = 0;
  #isRetired = false;
  #gone: Error | null = null;

  constructor(data: GrammarThreadData) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: data });
    this.#worker.unref(); // an idle thread keeps no process alive
    this.ready = this.#expect(-1);
    this.ready.catch(() => {});
    this.#worker.on('message', (reply: GrammarReply) => this.#receive(reply));
    this.#worker.on('error', (error) => this.#die(error as Error));
    this.#worker.on('exit', (code) => this.#die(new Error(`the grammar thread ended with code ${code}`)));
  }

  get isGone(): boolean {
    return this.#gone !== null;
  }

  /** Errors: GrammarCallError; Error when the thread is gone, why. */
  async call<T>(call: GrammarCall): Promise<T> {
    if (this.#gone) throw this.#gone;
    if (call.method === 'open') this.#numMatchers++;
    if (call.method === 'close') this.#numMatchers--;
    const id = this.#nextId++;
    const answer = this.#expect<T>(id);
    this.#worker.postMessage({ id, call } satisfies GrammarRequest);
    if (this.#isRetired && this.#numMatchers === 0) void this.end();
    return answer;
  }

  /** Ends it when its last matcher is closed. */
  retire(): void {
    this.#isRetired = true;
    if (this.#numMatchers === 0) void this.end();
  }

  /** Ends it now. Calls under way fail with `reason`. */
  async end(reason = new Error('the grammar thread was ended')): Promise<void> {
    this.#die(reason);
    await this.#worker.terminate();
  }

  #expect<T>(id: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
    });
  }

  #receive(reply: GrammarReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.error === undefined) {
      pending?.resolve(reply.value as never);
      return;
    }
    const error = new GrammarCallError(reply.error);
    pending?.reject(error);
    if (reply.isLast) this.#die(error);
  }

  #die(reason: Error): void {
    this.#gone ??= reason;
    for (const { reject } of this.#pending.values()) reject(this.#gone);
    this.#pending.clear();
  }
}
