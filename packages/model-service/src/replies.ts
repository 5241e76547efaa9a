/** From a request to the worker's call and back, for routes whose replies are encoded in the worker. */
import { FRAME_CONTENT_TYPE, formOf, type MessageForm } from '@forerunner/protocol';
import { disconnectSignal } from '@forerunner/service-kit';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ReplyWish } from './encoded-reply.ts';
import { fromEngine } from './engine-errors.ts';

const CONTENT_TYPES: Record<MessageForm, string> = { frame: FRAME_CONTENT_TYPE, json: 'application/json' };

/** Answers in the form of the request; gives the work up when the client goes away. */
export async function replyFromWorker(
  request: FastifyRequest,
  reply: FastifyReply,
  call: (wish: ReplyWish, signal: AbortSignal) => Promise<Uint8Array>,
): Promise<FastifyReply> {
  const form = formOf(request.headers['content-type']);
  const receivedMs = performance.timeOrigin + performance.now() - reply.elapsedTime;
  try {
    const bytes = await call({ form, receivedMs }, disconnectSignal(reply));
    return reply.type(CONTENT_TYPES[form]).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    throw fromEngine(error);
  }
}

/** A copy with memory of its own, which can be moved to the worker: a section shares the whole body's. */
export function detachable<T extends Int32Array | Float16Array>(section: T): T {
  return section.slice() as T;
}
