/**
 * Server-sent events with back-pressure: the next step of an answer is computed only when the previous one was taken,
 * so a slow reader slows its own answer and no other. Comments keep idle connections open.
 */
import type { FastifyReply } from 'fastify';

const HEARTBEAT_MS = 15_000;

export class EventStream {
  readonly #reply: FastifyReply;
  readonly #signal: AbortSignal;
  readonly #heartbeat: NodeJS.Timeout;

  /** Takes the reply over from Fastify and sends its head. */
  constructor(reply: FastifyReply, signal: AbortSignal) {
    this.#reply = reply;
    this.#signal = signal;
    reply.hijack();
    reply.raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
    });
    this.#heartbeat = setInterval(() => this.#writeNow(': keep-alive\n\n'), HEARTBEAT_MS).unref();
  }

  /** Sends one event, and waits while the reader is behind. Errors: the signal's reason once the reader is gone. */
  async send(data: object | string, event?: string): Promise<void> {
    this.#signal.throwIfAborted();
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    const taken = this.#writeNow(`${event ? `event: ${event}\n` : ''}data: ${text}\n\n`);
    if (!taken) await this.#drained();
  }

  end(): void {
    clearInterval(this.#heartbeat);
    if (!this.#reply.raw.destroyed) this.#reply.raw.end();
  }

  #writeNow(text: string): boolean {
    const { raw } = this.#reply;
    return raw.destroyed || raw.writableEnded || raw.write(text);
  }

  #drained(): Promise<void> {
    const { raw } = this.#reply;
    return new Promise((resolve, reject) => {
      const leave = () => {
        raw.off('drain', drained);
        this.#signal.removeEventListener('abort', aborted);
      };
      const drained = () => {
        leave();
        resolve();
      };
      const aborted = () => {
        leave();
        reject(this.#signal.reason);
      };
      raw.once('drain', drained);
      this.#signal.addEventListener('abort', aborted, { once: true });
    });
  }
}
