/**
 * The answering side of channels: calls that arrive as messages on an upgraded connection, without HTTP around each.
 * One call at a time per connection, so that a connection which closes means exactly one caller who left.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import {
  CHANNEL_PATH,
  CHANNEL_PROTOCOL,
  type ChannelMessage,
  ChannelReader,
  ERROR_STATUS,
  errorBody,
  LAST_ANSWER,
  ServiceError,
} from '@forerunner/protocol';
import { isBearer } from '../bearer.ts';
import { toServiceError } from '../http-errors.ts';
import type { RequestCounter } from '../http-metrics.ts';
import type { Logger } from '../logger.ts';
import { isRequestId } from '../request-id.ts';
import { prepareSocket, sendMessage } from './socket.ts';

export interface ChannelCall {
  readonly body: Buffer;
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal;
  /** When the call was read, of performance.now(). */
  readonly receivedMs: number;
}

export type ChannelHandler = (call: ChannelCall) => Promise<Uint8Array>;

export interface ChannelServerOptions {
  /** Bearer token that the upgrade must bear. */
  readonly token: string | undefined;
  readonly maxBodyBytes: number;
  /** A message that has begun must be complete after so long, as an HTTP request must. */
  readonly messageTimeoutMs?: number | undefined;
  readonly logger: Logger;
}

export class ChannelServer {
  readonly #options: ChannelServerOptions;
  readonly #handlers = new Map<string, ChannelHandler>();
  readonly #connections = new Set<Connection>();
  #count: RequestCounter = () => {};
  #isDraining = false;

  constructor(options: ChannelServerOptions) {
    this.#options = options;
  }

  answer(path: string, handler: ChannelHandler): void {
    this.#handlers.set(path, handler);
  }

  /** Other requests are answered as HTTP, whatever they would like to be upgraded to. */
  readonly accepts = ({ method, url, headers }: IncomingMessage): boolean => {
    const { token } = this.#options;
    return (
      method === 'GET' &&
      url === CHANNEL_PATH &&
      headers.upgrade === CHANNEL_PROTOCOL &&
      !('content-length' in headers || 'transfer-encoding' in headers) && // behind a body there is no socket to be had
      !this.#isDraining &&
      (token === undefined || isBearer(headers.authorization, token))
    );
  };

  attach(server: Server, count: RequestCounter): void {
    this.#count = count;
    server.on('upgrade', (_request: IncomingMessage, socket: Socket, rest: Buffer) => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${CHANNEL_PROTOCOL}\r\n\r\n`);
      const connection = new Connection(socket, this.#options, (message, signal) => this.#reply(message, signal));
      this.#connections.add(connection);
      socket.once('close', () => this.#connections.delete(connection));
      connection.read(rest);
    });
  }

  /** No more calls: idle connections end now, the others after their answer. */
  drain(): void {
    this.#isDraining = true;
    for (const connection of this.#connections) connection.end();
  }

  async #reply(message: ChannelMessage, signal: AbortSignal): Promise<Reply> {
    const startMs = performance.now();
    const [path = '', given = ''] = message.head.split(' ');
    const requestId = isRequestId(given) ? given : randomUUID();
    const handler = this.#handlers.get(path);
    let reply: Reply;
    try {
      if (!handler) throw new ServiceError('not_found', `there is no call ${path.slice(0, 100)}`);
      reply = { status: 200, body: await handler({ body: message.body, signal, receivedMs: startMs }) };
    } catch (error) {
      const shown = toServiceError(error);
      if (shown.code === 'internal_error') {
        this.#options.logger.error({ err: error, req_id: requestId }, 'unexpected error');
      }
      reply = { status: shown.status, body: Buffer.from(JSON.stringify(errorBody(shown, requestId))) };
    }
    const status = signal.aborted ? ERROR_STATUS.client_closed_request : reply.status;
    this.#count('CHANNEL', handler && path, status);
    const ms = Math.round((performance.now() - startMs) * 10) / 10;
    this.#options.logger.debug({ req_id: requestId, method: 'CHANNEL', route: path, status, ms }, 'request');
    return reply;
  }
}

interface Reply {
  readonly status: number;
  readonly body: Uint8Array;
}

type ReplyTo = (message: ChannelMessage, signal: AbortSignal) => Promise<Reply>;

class Connection {
  readonly #socket: Socket;
  readonly #reader: ChannelReader;
  readonly #messageTimeoutMs: number;
  readonly #gone = new AbortController();
  #deadline: NodeJS.Timeout | null = null;
  #isBusy = false;
  #isEnding = false;
  #isBroken = false;

  constructor(socket: Socket, options: ChannelServerOptions, reply: ReplyTo) {
    this.#socket = socket;
    this.#messageTimeoutMs = options.messageTimeoutMs ?? 60_000;
    this.#reader = new ChannelReader(options.maxBodyBytes, (message) => void this.#answer(message, reply));
    prepareSocket(socket);
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.once('end', () => socket.destroy()); // whoever says no more waits for nothing
    socket.on('error', () => {}); // 'close' follows
    socket.once('close', () => {
      this.#limitTime(false);
      this.#gone.abort(new ServiceError('client_closed_request', 'the caller closed the channel'));
    });
  }

  read(chunk: Buffer): void {
    if (this.#isBroken) return; // read all the same: an answer gets lost when what was sent is not
    try {
      this.#reader.push(chunk);
      this.#limitTime(this.#reader.isWithinMessage);
    } catch (error) {
      this.#isBroken = true;
      this.#limitTime(true);
      const shown = toServiceError(error);
      this.#isEnding = true;
      this.#send({ status: shown.status, body: Buffer.from(JSON.stringify(errorBody(shown, randomUUID()))) });
      this.#socket.end();
    }
  }

  /** After the call that is under way, if any. */
  end(): void {
    this.#isEnding = true;
    if (!this.#isBusy) this.#socket.destroySoon();
  }

  #limitTime(isLimited: boolean): void {
    if (isLimited) {
      this.#deadline ??= setTimeout(() => this.#socket.destroy(), this.#messageTimeoutMs);
    } else if (this.#deadline) {
      clearTimeout(this.#deadline);
      this.#deadline = null;
    }
  }

  async #answer(message: ChannelMessage, replyTo: ReplyTo): Promise<void> {
    if (this.#isBusy) {
      this.#socket.destroy(); // a caller that does not wait for its answer speaks something else
      return;
    }
    this.#isBusy = true;
    const reply = await replyTo(message, this.#gone.signal);
    this.#isBusy = false;
    if (this.#socket.destroyed) return;
    this.#send(reply);
    if (this.#isEnding) this.#socket.destroySoon();
  }

  #send({ status, body }: Reply): void {
    sendMessage(this.#socket, this.#isEnding ? `${status} ${LAST_ANSWER}` : String(status), body);
  }
}
