/**
 * Replies are encoded beside the engine: turning rows of a vocabulary into bytes, above all into JSON, takes long enough
 * to be kept from the thread that serves HTTP, where that is another. What crosses is one buffer, moved and not copied.
 */
import { Transfer } from '@forerunner/engine';
import { encodeMessage, type Frame, type MessageForm, type Timing } from '@forerunner/protocol';

/** How the reply is wanted, and since when it is waited for. */
export interface ReplyOptions {
  readonly form: MessageForm;
  /** When the request arrived, milliseconds since 1970 (each thread's performance.now() has its own zero). */
  readonly receivedMs: number;
}

export function encodeReply(frame: Frame, { form }: ReplyOptions): Transfer<Uint8Array> {
  const encoded = encodeMessage(frame, form);
  // A small Buffer may be a piece of Node's shared pool, which cannot be moved.
  const bytes = encoded.byteLength === encoded.buffer.byteLength ? encoded : Uint8Array.from(encoded);
  return new Transfer<Uint8Array>(bytes, [bytes.buffer as ArrayBuffer]);
}

export function timingOf(
  replyOptions: ReplyOptions,
  { queueMs, modelMs }: { queueMs: number; modelMs: number },
): Timing {
  const totalMs = performance.timeOrigin + performance.now() - replyOptions.receivedMs;
  return { queue_ms: toMicroseconds(queueMs), model_ms: toMicroseconds(modelMs), total_ms: toMicroseconds(totalMs) };
}

const toMicroseconds = (ms: number): number => Math.round(ms * 1000) / 1000;
