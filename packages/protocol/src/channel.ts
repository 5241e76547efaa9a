/**
 * A channel: an HTTP connection that was upgraded once and from then on carries calls, one at a time, as messages.
 * A message is the length of its head and of its body (uint32 each, little endian), the head (ASCII, padded with spaces
 * to 8 bytes) and the body. The head of a call is its path and its request id, that of an answer its HTTP status and, when
 * the channel ends with it, "close"; bodies are what HTTP would carry: a frame, or an error as JSON. Knows bytes, no sockets.
 */
import { ServiceError } from './errors.ts';

export const CHANNEL_PATH = '/v1/channel';
/** The name in the `upgrade` header. */
export const CHANNEL_PROTOCOL = 'forerunner-frames';
/** In the head of an answer: no call after this one. */
export const LAST_ANSWER = 'close';

const PREFIX_BYTES = 8;
const ALIGNMENT = 8; // so that the body's sections can be read where they lie
const MAX_HEAD_BYTES = 512;

export interface ChannelMessage {
  readonly head: string;
  /** A view of memory that nobody else writes to, aligned for any section. */
  readonly body: Buffer;
}

/** What goes before the body. */
export function channelHead(head: string, bodyBytes: number): Buffer {
  const headBytes = Math.ceil(head.length / ALIGNMENT) * ALIGNMENT;
  const bytes = Buffer.alloc(PREFIX_BYTES + headBytes, ' ');
  bytes.writeUInt32LE(headBytes, 0);
  bytes.writeUInt32LE(bodyBytes, 4);
  bytes.write(head, PREFIX_BYTES, 'latin1');
  return bytes;
}

/** Puts messages together from the pieces in which they arrive. */
export class ChannelReader {
  readonly #maxBodyBytes: number;
  readonly #onMessage: (message: ChannelMessage) => void;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #numPrefixBytes = 0;
  #content: Buffer | null = null; // head and body of the message that arrives
  #numContentBytes = 0;

  constructor(maxBodyBytes: number, onMessage: (message: ChannelMessage) => void) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#onMessage = onMessage;
  }

  /** A message has begun and not ended. */
  get isWithinMessage(): boolean {
    return this.#numPrefixBytes > 0;
  }

  /** Errors: ServiceError malformed_frame | payload_too_large, after which the stream cannot be read any further. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#content === null) {
        const end = Math.min(chunk.length, at + PREFIX_BYTES - this.#numPrefixBytes);
        this.#numPrefixBytes += chunk.copy(this.#prefix, this.#numPrefixBytes, at, end);
        at = end;
        if (this.#numPrefixBytes === PREFIX_BYTES) this.#content = this.#begin();
        continue;
      }
      const end = Math.min(chunk.length, at + this.#content.length - this.#numContentBytes);
      this.#numContentBytes += chunk.copy(this.#content, this.#numContentBytes, at, end);
      at = end;
      if (this.#numContentBytes === this.#content.length) this.#end(this.#content);
    }
  }

  #begin(): Buffer {
    const headBytes = this.#prefix.readUInt32LE(0);
    const bodyBytes = this.#prefix.readUInt32LE(4);
    if (headBytes === 0 || headBytes > MAX_HEAD_BYTES || headBytes % ALIGNMENT !== 0) {
      throw new ServiceError('malformed_frame', `malformed message: a head of ${headBytes} bytes`);
    }
    if (bodyBytes > this.#maxBodyBytes) {
      const bound = `the body must be at most ${this.#maxBodyBytes} bytes, got ${bodyBytes}`;
      throw new ServiceError('payload_too_large', bound);
    }
    return Buffer.allocUnsafeSlow(headBytes + bodyBytes);
  }

  #end(content: Buffer): void {
    const headBytes = this.#prefix.readUInt32LE(0);
    this.#content = null;
    this.#numContentBytes = 0;
    this.#numPrefixBytes = 0;
    this.#onMessage({ head: content.toString('latin1', 0, headBytes).trimEnd(), body: content.subarray(headBytes) });
  }
}
