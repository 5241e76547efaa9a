/**
 * The client side of a call between services: kept connections, frames, deadlines, request ids, errors told apart. Frames
 * go over channels where the peer has them, everything else and everybody else by HTTP.
 */
import {
  ERROR_STATUS,
  type ErrorCode,
  encodeFrame,
  errorBodySchema,
  FRAME_CONTENT_TYPE,
  type Frame,
  REQUEST_ID_HEADER,
} from '@forerunner/protocol';
import { type Dispatcher, Pool } from 'undici';
import { ChannelCall } from './channel/call.ts';
import { ChannelPool } from './channel/pool.ts';
import { type Call, Exchange, type WholeReply } from './exchange.ts';

/**
 * refused: the peer's own 4xx word; busy: it works, but has no room now; timeout: no answer within the deadline;
 * unreachable: the connection failed or the peer is broken.
 */
export type PeerErrorKind = 'refused' | 'busy' | 'timeout' | 'unreachable';

export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly kind: PeerErrorKind;
  /** The peer's own code, where it gave one. */
  readonly code: ErrorCode | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    kind: PeerErrorKind,
    message: string,
    code?: ErrorCode,
    details: Record<string, unknown> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.kind = kind;
    this.code = code;
    this.details = details;
  }
}

export interface CallOptions {
  readonly requestId: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
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
  /** Bearer token to send. */
  readonly token?: string | undefined;
  /** Told of every frame, as a call's own `onTraffic` is. Calls without a frame do not count. */
  readonly onTraffic?: (sentBytes: number, receivedBytes: number) => void;
}

export class PeerClient implements Peer {
  readonly name: string;
  readonly url: string;
  readonly #pool: Pool;
  readonly #channels: ChannelPool | null;
  readonly #headers: Record<string, string>;
  readonly #onTraffic: (sentBytes: number, receivedBytes: number) => void;

  constructor(name: string, url: string, options: PeerClientOptions) {
    this.name = name;
    this.url = url;
    this.#onTraffic = options.onTraffic ?? (() => {});
    this.#headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
    this.#pool = new Pool(new URL(url).origin, {
      connections: options.connections,
      pipelining: 1,
      keepAliveTimeout: 60_000,
      connectTimeout: 2_000,
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
  async #within(options: CallOptions, start: () => Call): Promise<WholeReply> {
    const { signal, timeoutMs } = options;
    signal?.throwIfAborted();
    const call = start();
    const abort = () => call.abort(signal?.reason as Error);
    signal?.addEventListener('abort', abort, { once: true });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      call.abort(new Error('late'));
    }, timeoutMs);
    try {
      return await call.reply;
    } catch (cause) {
      signal?.throwIfAborted();
      const [kind, why] = isLate
        ? (['timeout', `no answer within ${timeoutMs} ms`] as const)
        : (['unreachable', describe(cause)] as const);
      throw new PeerError(kind, `${this.name} at ${this.url}: ${why}`, undefined, {}, { cause });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Errors: what the peer says in place of an answer. */
  #bodyOf({ status, body }: WholeReply): Uint8Array {
    if (status < 300) return body;
    throw this.#errorOf(status, body);
  }

  #errorOf(status: number, body: Uint8Array): PeerError {
    const fallback = status < 500 ? 'refused' : 'unreachable';
    try {
      const { error } = errorBodySchema.parse(JSON.parse(new TextDecoder().decode(body)));
      const { code, message, request_id: _, ...details } = error;
      const known = code in ERROR_STATUS ? (code as ErrorCode) : undefined;
      const busy = known === 'overloaded' || known === 'kv_budget_exceeded';
      return new PeerError(busy ? 'busy' : fallback, `${this.name}: ${message}`, known, details);
    } catch {
      return new PeerError(fallback, `${this.name} at ${this.url} answered ${status}`);
    }
  }
}

function describe(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return code ?? message ?? String(cause);
}
