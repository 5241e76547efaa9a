/** The question for a channel: one GET that asks to be upgraded. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { CHANNEL_PATH, CHANNEL_PROTOCOL } from '@forerunner/protocol';
import type { Dispatcher } from 'undici';

const HANDSHAKE_TIMEOUT_MS = 2_000;

/** 'http': it speaks HTTP only. 'silent': it stalls, or swallows what it does not know. 'failing': an error that tells neither. */
type HandshakeAnswer = Socket | 'http' | 'silent' | 'failing';

/** Of undici, on a connection that stands: nothing has been executed, the call can be made by HTTP. */
const NO_ANSWER = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_SOCKET']);

export class Handshake implements Dispatcher.DispatchHandler {
  readonly answer: Promise<HandshakeAnswer>;
  readonly #settle = Promise.withResolvers<HandshakeAnswer>();
  #status = 0;

  constructor(dispatcher: Dispatcher, headers: Readonly<Record<string, string>>) {
    this.answer = this.#settle.promise;
    dispatcher.dispatch(
      {
        method: 'GET',
        path: CHANNEL_PATH,
        upgrade: CHANNEL_PROTOCOL,
        headers: { ...headers },
        headersTimeout: HANDSHAKE_TIMEOUT_MS,
        bodyTimeout: HANDSHAKE_TIMEOUT_MS,
      },
      this,
    );
  }

  onRequestStart(): void {}

  onRequestUpgrade(_controller: unknown, _status: number, _headers: IncomingHttpHeaders, socket: unknown): void {
    this.#settle.resolve(socket as Socket);
  }

  onResponseStart(_controller: unknown, status: number): void {
    this.#status = status;
  }

  onResponseData(): void {}

  onResponseEnd(): void {
    this.#settle.resolve(this.#status < 500 ? 'http' : 'failing');
  }

  onResponseError(_controller: unknown, error: NodeJS.ErrnoException): void {
    if (NO_ANSWER.has(error.code ?? '')) this.#settle.resolve('silent');
    else this.#settle.reject(error);
  }
}
