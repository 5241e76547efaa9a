/**
 * The client side of a call between services: kept connections, frames, deadlines, request ids, errors told apart. Frames
 * go over channels where the peer has them, everything else and everybody else by HTTP.
 */
import { isIP, type LookupFunction } from 'node:net';
import { encodeFrame, errorBodySchema, FRAME_CONTENT_TYPE, type Frame, REQUEST_ID_HEADER } from '@forerunner/protocol';
import { type Dispatcher, Pool } from 'undici';
import { ChannelCall } from './channel/call.ts';
import { ChannelPool } from './channel/pool.ts';
import { type Call, type Deadline, within } from './deadline.ts';
import { Exchange, type WholeReply } from './exchange.ts';
import { isErrorCode, kindOf, PeerError } from './peer-error.ts';

export interface CallOptions extends Deadline {
  readonly requestId: string;
  /** Told of the body bytes of a frame that was answered, be it with an error. */
  readonly onTraffic?: ((sentBytes: number, receivedBytes: number) => void) | undefined;
}

/** What callers need of a peer; tests have toy ones. */
export interface Peer {
  readonly name: string;
  readonly url: string;
  postFrame(path: string, frame: Frame, options: CallOptions): Promise<Uint8Array>;
  getJson(path: string, options: CallOptions): Promise<unknown>;
  delete(path: string, options: CallOptions): Promise<void>;
  close(): Promise<void>;
}

export interface PeerClientOptions {
  readonly connections: number;
  /** Asks the peer for channels; without them every frame is an HTTP request. */
  readonly useChannels?: boolean;
  /** IP address to connect to, for a URL whose host name has several; absent: what the name resolves to. */
  readonly address?: string | undefined;
  /** Bearer token to send. */
  readonly token?: string | undefined;
  /** Told of every frame, as a call's own `onTraffic` is. Calls without a frame do not count. */
  readonly onTraffic?: (sentBytes: number, receivedBytes: number) => void;
}

export class PeerClient implements Peer {
  readonly name: string;
  readonly url: string;
  readonly #where: string;
  readonly #pool: Pool;
  readonly #channels: ChannelPool | null;
  readonly #headers: Record<string, string>;
  readonly #onTraffic: (sentBytes: number, receivedBytes: number) => void;

  constructor(name: string, url: string, options: PeerClientOptions) {
    this.name = name;
    this.url = url;
    this.#where = options.address === undefined ? url : `${url} [${options.address}]`;
    this.#onTraffic = options.onTraffic ?? (() => {});
    this.#headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
    this.#pool = new Pool(new URL(url).origin, {
      connections: options.connections,
      pipelining: 1,
      keepAliveTimeout: 60_000,
      connectTimeout: 2_000,
      ...(options.address !== undefined && { connect: { lookup: lookupOf(options.address) } }),
      // Every call has a deadline of its own.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#channels = options.useChannels
      ? new ChannelPool(this.#pool, { headers: this.#headers, maxIdle: options.connections })
      : null;
  }

  /** Sends a frame and returns the reply's bytes. Errors: PeerError; the signal's reason when aborted. */
  async postFrame(path: string, frame: Frame, options: CallOptions): Promise<Uint8Array> {
    const { requestId } = options;
    const body = encodeFrame(frame);
    const byHttp = () =>
      this.#request({ method: 'POST', path, headers: { 'content-type': FRAME_CONTENT_TYPE }, body }, options);
    const channels = this.#channels;
    const reply = await this.#within(options, () =>
      channels
        ? new ChannelCall(channels, { overChannel: (channel) => channel.request(path, requestId, body), byHttp })
        : byHttp(),
    );
    this.#onTraffic(body.byteLength, reply.body.byteLength);
    options.onTraffic?.(body.byteLength, reply.body.byteLength);
    return this.#bodyOf(reply);
  }

  async getJson(path: string, options: CallOptions): Promise<unknown> {
    const reply = await this.#within(options, () => this.#request({ method: 'GET', path }, options));
    return JSON.parse(new TextDecoder().decode(this.#bodyOf(reply)));
  }

  async delete(path: string, options: CallOptions): Promise<void> {
    this.#bodyOf(await this.#within(options, () => this.#request({ method: 'DELETE', path }, options)));
  }

  async close(): Promise<void> {
    this.#channels?.destroy();
    await this.#pool.destroy();
  }

  #request(request: Dispatcher.DispatchOptions, { requestId }: CallOptions): Exchange {
    const own = request.headers as Record<string, string> | undefined;
    return new Exchange(this.#pool, {
      ...request,
      headers: { ...this.#headers, [REQUEST_ID_HEADER]: requestId, ...own },
    });
  }

  /** A reply of any status. Errors: PeerError timeout | unreachable; the signal's reason. */
  #within(options: CallOptions, start: () => Call<WholeReply>): Promise<WholeReply> {
    const where = `${this.name} at ${this.#where}`;
    const of = (cause: unknown) =>
      new PeerError('unreachable', `${where}: ${describe(cause)}`, undefined, {}, { cause });
    return within(options, start, { where, of });
  }

  /** Errors: what the peer says in place of an answer. */
  #bodyOf({ status, body }: WholeReply): Uint8Array {
    if (status < 300) return body;
    throw this.#errorOf(status, body);
  }

  #errorOf(status: number, body: Uint8Array): PeerError {
    try {
      const { error } = errorBodySchema.parse(JSON.parse(new TextDecoder().decode(body)));
      const { code, message, request_id: _, ...details } = error;
      const known = isErrorCode(code) ? code : undefined;
      return new PeerError(kindOf(status, code), `${this.name}: ${message}`, known, details);
    } catch {
      return new PeerError(kindOf(status, ''), `${this.name} at ${this.#where} answered ${status}`);
    }
  }
}

/** Always the one address. */
function lookupOf(address: string): LookupFunction {
  const family = isIP(address);
  return (_host, { all }, callback) => (all ? callback(null, [{ address, family }]) : callback(null, address, family));
}

function describe(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return code ?? message ?? String(cause);
}
