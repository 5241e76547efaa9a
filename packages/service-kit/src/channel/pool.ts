/**
 * The asking side of channels. A channel carries one call at a time; whoever wants one while all are taken opens another,
 * so there are as many as there were calls at the same time.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { CHANNEL_PATH, CHANNEL_PROTOCOL, type ChannelMessage, ChannelReader, LAST_ANSWER } from '@forerunner/protocol';
import type { Dispatcher } from 'undici';
import type { Call, WholeReply } from '../exchange.ts';
import { prepareSocket, sendMessage } from './socket.ts';

const MAX_REPLY_BYTES = 2 ** 30;
const HANDSHAKE_TIMEOUT_MS = 2_000;
/** How long a peer that did not upgrade is not asked again: an older service, or a proxy that speaks HTTP only. */
const HTTP_ONLY_MS = 300_000;

export interface ChannelPoolOptions {
  /** Sent with the request for an upgrade. */
  readonly headers: Readonly<Record<string, string>>;
  /** Channels that are kept while nobody uses them. */
  readonly maxIdle: number;
}

export class ChannelPool {
  readonly #dispatcher: Dispatcher;
  readonly #options: ChannelPoolOptions;
  readonly #all = new Set<Channel>();
  readonly #idle: Channel[] = [];
  /** The peer gave one when it was last asked. */
  #hasChannels = false;
  #asking: Promise<Channel | null> | null = null;
  #httpOnlyUntilMs = 0;

  constructor(dispatcher: Dispatcher, options: ChannelPoolOptions) {
    this.#dispatcher = dispatcher;
    this.#options = options;
  }

  /** To be given back. null: this call goes by HTTP. Errors: undici's, when there is no connection. */
  async take(): Promise<Channel | null> {
    for (let channel = this.#idle.pop(); channel; channel = this.#idle.pop()) if (channel.isUsable) return channel;
    if (performance.now() < this.#httpOnlyUntilMs) return null;
    if (this.#hasChannels) return this.#open();
    // One call asks for all: where no answer comes, the questions would take up every connection.
    if (this.#asking) return (await this.#asking) && this.take();
    try {
      this.#asking = this.#open();
      return await this.#asking;
    } finally {
      this.#asking = null;
    }
  }

  async #open(): Promise<Channel | null> {
    const answer = await new Handshake(this.#dispatcher, this.#options.headers).answer;
    this.#hasChannels = typeof answer !== 'string';
    if (answer === 'http') this.#httpOnlyUntilMs = performance.now() + HTTP_ONLY_MS;
    if (typeof answer === 'string') return null;
    const channel = new Channel(answer, () => this.#forget(channel));
    this.#all.add(channel);
    return channel;
  }

  give(channel: Channel): void {
    if (channel.isUsable && this.#idle.length < this.#options.maxIdle) this.#idle.push(channel);
    else channel.destroy(new Error('no longer wanted'));
  }

  #forget(channel: Channel): void {
    this.#all.delete(channel);
    const at = this.#idle.indexOf(channel);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  destroy(): void {
    for (const channel of this.#all) channel.destroy(new Error('the client was closed'));
  }
}

/** An upgraded connection. */
class Channel {
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

/** A call over a channel, or as `viaHttp` makes it where the peer has none. */
export class ChannelCall implements Call {
  readonly reply: Promise<WholeReply>;
  readonly #settle = Promise.withResolvers<WholeReply>();
  #underWay: { abort(reason: Error): void } | undefined;
  #aborted: { readonly reason: Error } | undefined;

  constructor(pool: ChannelPool, path: string, requestId: string, body: Uint8Array, viaHttp: () => Call) {
    this.reply = this.#settle.promise;
    this.#run(pool, path, requestId, body, viaHttp).then(this.#settle.resolve, this.#settle.reject);
  }

  /** Rejects now. A channel in use is given up, one that is being opened is for the next call. */
  abort(reason: Error): void {
    this.#aborted = { reason };
    this.#settle.reject(reason);
    this.#underWay?.abort(reason);
  }

  async #run(
    pool: ChannelPool,
    path: string,
    requestId: string,
    body: Uint8Array,
    viaHttp: () => Call,
  ): Promise<WholeReply> {
    const channel = await pool.take();
    if (this.#aborted) {
      if (channel) pool.give(channel);
      throw this.#aborted.reason;
    }
    if (channel === null) {
      const call = viaHttp();
      this.#underWay = call;
      return call.reply;
    }
    this.#underWay = { abort: (reason) => channel.destroy(reason) };
    const reply = await channel.request(path, requestId, body);
    this.#underWay = undefined; // from here on the channel is somebody else's
    pool.give(channel);
    return reply;
  }
}

/** 'http': it speaks HTTP only, or swallows what it does not know. 'unwell': an error that says nothing of that. */
type HandshakeAnswer = Socket | 'http' | 'unwell';

/** Of undici, on a connection that stands: nothing has been executed, the call can be made by HTTP. */
const NO_ANSWER = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_SOCKET']);

class Handshake implements Dispatcher.DispatchHandler {
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
    this.#settle.resolve(this.#status < 500 ? 'http' : 'unwell');
  }

  onResponseError(_controller: unknown, error: NodeJS.ErrnoException): void {
    if (NO_ANSWER.has(error.code ?? '')) this.#settle.resolve('http');
    else this.#settle.reject(error);
  }
}
