/**
 * The answering side of channels: calls that arrive as messages on an upgraded connection, without HTTP around each.
 * One call at a time per connection, so that a connection which closes means exactly one caller who left.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { CHANNEL_PATH, CHANNEL_PROTOCOL, type ChannelMessage, ERROR_STATUS, ServiceError } from '@forerunner/protocol';
import { isBearer } from '../bearer.ts';
import { toServiceError } from '../http-errors.ts';
import type { RequestCounter } from '../http-metrics.ts';
import type { Logger } from '../logger.ts';
import { isRequestId } from '../request-id.ts';
import { Connection, type ConnectionOptions, errorReply, type Reply } from './connection.ts';

interface IncomingCall {
  readonly body: Buffer;
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal;
  /** When the call was read, of performance.now(). */
  readonly receivedMs: number;
}

export type ChannelHandler = (call: IncomingCall) => Promise<Uint8Array>;

export interface ChannelServerOptions extends ConnectionOptions {
  /** Bearer token that the upgrade must bear. */
  readonly token: string | undefined;
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
      !('content-length' in headers || 'transfer-encoding' in headers) && // behind a body the socket cannot be taken over
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
      reply = errorReply(shown, requestId);
    }
    const status = signal.aborted ? ERROR_STATUS.client_closed_request : reply.status;
    this.#count('CHANNEL', handler && path, status);
    const ms = Math.round((performance.now() - startMs) * 10) / 10;
    this.#options.logger.debug({ req_id: requestId, method: 'CHANNEL', route: path, status, ms }, 'request');
    return reply;
  }
}
