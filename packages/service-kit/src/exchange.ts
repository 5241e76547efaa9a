/**
 * One request and its whole reply, at undici's lowest level: no stream, no signal, and so half the code that a round
 * runs through in between two passes of a model, when none of it is left in the processor's caches.
 */
import type { Dispatcher } from 'undici';
import type { Call } from './deadline.ts';

export interface WholeReply {
  readonly status: number;
  /** Memory that nobody else writes to, aligned for any section of a frame. */
  readonly body: Buffer;
}

/** Sends `request` and resolves when its reply is complete. Errors: undici's; `reason` of the abort. */
export class Exchange implements Dispatcher.DispatchHandler, Call<WholeReply> {
  readonly reply: Promise<WholeReply>;
  readonly #settle = Promise.withResolvers<WholeReply>();
  #chunks: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #aborted: { readonly reason: Error } | undefined;

  constructor(dispatcher: Dispatcher, request: Dispatcher.DispatchOptions) {
    this.reply = this.#settle.promise;
    dispatcher.dispatch(request, this);
  }

  /** Rejects now, also while it waits for a connection; one that is in use is given up with it. */
  abort(reason: Error): void {
    this.#aborted = { reason };
    this.#controller?.abort(reason);
    this.#settle.reject(reason);
  }

  /** Again when undici repeats a request whose connection closed before it was read. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown here it ends this request alone; the controller's abort would take the connection with it.
    if (this.#aborted) throw this.#aborted.reason;
    this.#controller = controller;
    this.#chunks = [];
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#settle.resolve({ status: this.#status, body: joined(this.#chunks) });
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#settle.reject(error);
  }
}

function joined(chunks: readonly Buffer[]): Buffer {
  const body = Buffer.allocUnsafeSlow(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}
