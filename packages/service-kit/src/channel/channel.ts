/** The asking side of an upgraded connection: one call at a time. */
import type { Socket } from 'node:net';
import { type ChannelMessage, ChannelReader, LAST_ANSWER } from '@forerunner/protocol';
import type { WholeReply } from '../exchange.ts';
import { prepareSocket, sendMessage } from './socket.ts';

const MAX_REPLY_BYTES = 2 ** 30;

export class Channel {
  readonly #socket: Socket;
  readonly #reader: ChannelReader;
  #waiting: PromiseWithResolvers<WholeReply> | null = null;
  #failure: Error = new Error('other side closed');
  #isLast = false;

  constructor(socket: Socket, onClose: () => void) {
    this.#socket = socket;
    this.#reader = new ChannelReader(MAX_REPLY_BYTES, (message) => this.#settle(message));
    prepareSocket(socket);
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#reader.push(chunk);
      } catch (error) {
        this.destroy(error as Error);
      }
    });
    socket.on('error', (error) => {
      this.#failure = error;
    });
    socket.once('close', () => {
      this.#waiting?.reject(this.#failure);
      onClose();
    });
  }

  get isUsable(): boolean {
    return this.#socket.writable && this.#waiting === null && !this.#isLast;
  }

  /** Errors: why the connection closed before the reply was complete. */
  request(path: string, requestId: string, body: Uint8Array): Promise<WholeReply> {
    this.#waiting = Promise.withResolvers<WholeReply>();
    sendMessage(this.#socket, `${path} ${requestId}`, body);
    return this.#waiting.promise;
  }

  destroy(reason: Error): void {
    this.#failure = reason;
    this.#socket.destroy();
  }

  #settle({ head, body }: ChannelMessage): void {
    const [status, last] = head.split(' ');
    this.#isLast = last === LAST_ANSWER;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting) waiting.resolve({ status: Number(status), body });
    else this.destroy(new Error('a reply to nothing'));
  }
}
