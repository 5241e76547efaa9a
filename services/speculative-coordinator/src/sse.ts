/**
 * Server-sent events with back-pressure: the next round of an answer is computed only when the previous one was taken,
 * so a slow reader slows its own answer and no other. Nothing is sent before there is something to say, so that what
 * fails at once is still a plain error reply; but a connection is never silent for longer than a heartbeat.
 */
import type { FastifyReply } from 'fastify';

const HEARTBEAT_MS = 15_000;
/** A reader that has taken nothing for this long after the answer was given up is left. */
const CLOSE_TIMEOUT_MS = 5_000;

export class EventStream {
  readonly #reply: FastifyReply;
  readonly #signal: AbortSignal;
  readonly #closeTimeoutMs: number;
  readonly #heartbeat: NodeJS.Timeout;
  #isOpen = false;

  constructor(
    reply: FastifyReply,
    signal: AbortSignal,
    {
      heartbeatMs = HEARTBEAT_MS,
      closeTimeoutMs = CLOSE_TIMEOUT_MS,
    }: { heartbeatMs?: number; closeTimeoutMs?: number } = {},
  ) {
    this.#reply = reply;
    this.#signal = signal;
    this.#closeTimeoutMs = closeTimeoutMs;
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs).unref();
  }

  /** Whether the head of the reply is out: from then on an error can only be an event. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends one event, and waits while the reader is behind. Errors: the signal's reason once it is aborted. */
  async send(data: object | string, event?: string): Promise<void> {
    this.#signal.throwIfAborted();
    if (!this.#write(eventText(data, event))) await this.#drained();
  }

  /** Sends a last event without waiting, also after the signal was aborted. */
  fail(data: object): void {
    this.#write(eventText(data, 'error'));
  }

  /** After an abort the connection goes soon, taken or not: whoever does not read holds no place for ever. */
  end(): void {
    clearInterval(this.#heartbeat);
    const { raw } = this.#reply;
    if (!this.#isOpen || raw.destroyed) return;
    raw.end();
    if (!this.#signal.aborted) return;
    const leave = setTimeout(() => raw.destroy(), this.#closeTimeoutMs).unref();
    raw.once('close', () => clearTimeout(leave));
  }

  /** Takes the reply over from Fastify and sends its head. */
  #open(): void {
    this.#isOpen = true;
    this.#reply.hijack();
    this.#reply.raw.writeHead(200, {
      ...(this.#reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
    });
  }

  /** false: the reader is behind. */
  #write(text: string): boolean {
    const { raw } = this.#reply;
    if (raw.destroyed || raw.writableEnded) return true;
    if (!this.#isOpen) this.#open();
    return raw.write(text);
  }

  #beat(): void {
    // A reader that takes nothing needs no sign of life.
    if (!this.#reply.raw.writableNeedDrain) this.#write(': keep-alive\n\n');
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

function eventText(data: object | string, event?: string): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return `${event ? `event: ${event}\n` : ''}data: ${text}\n\n`;
}
