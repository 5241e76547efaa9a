/** The answering side of an upgraded connection: one call at a time. */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { type ChannelMessage, ChannelReader, errorBody, LAST_ANSWER, ServiceError } from '@forerunner/protocol';
import { toServiceError } from '../http-errors.ts';
import { prepareSocket, sendMessage } from './socket.ts';

export interface Reply {
  readonly status: number;
  readonly body: Uint8Array;
}

/** What HTTP would answer in its place. */
export function errorReply(error: ServiceError, requestId: string): Reply {
  return { status: error.status, body: Buffer.from(JSON.stringify(errorBody(error, requestId))) };
}

type ReplyTo = (message: ChannelMessage, signal: AbortSignal) => Promise<Reply>;

export interface ConnectionOptions {
  readonly maxBodyBytes: number;
  /** A message that has begun must be complete within this time, as an HTTP request must. */
  readonly messageTimeoutMs?: number | undefined;
}

export class Connection {
  readonly #socket: Socket;
  readonly #reader: ChannelReader;
  readonly #messageTimeoutMs: number;
  readonly #gone = new AbortController();
  #deadline: NodeJS.Timeout | null = null;
  #isBusy = false;
  #isEnding = false;
  #isBroken = false;

  constructor(socket: Socket, options: ConnectionOptions, reply: ReplyTo) {
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
      this.#isEnding = true;
      this.#send(errorReply(toServiceError(error), randomUUID()));
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
