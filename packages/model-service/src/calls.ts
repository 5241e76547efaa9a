/** Calls of the other services, from a request to the engine and back; replies are encoded beside the engine. */
import { FRAME_CONTENT_TYPE, flattenFrame, formOf, type MessageForm, parseOrThrow } from '@forerunner/protocol';
import { disconnectSignal } from '@forerunner/service-kit';
import type { z } from 'zod';
import type { ReplyOptions } from './encoded-reply.ts';
import { throwFromEngine } from './engine-errors.ts';
import type { ModelRoutes } from './routes.ts';

const CONTENT_TYPES: Record<MessageForm, string> = { frame: FRAME_CONTENT_TYPE, json: 'application/json' };

/** Resolves to the encoded reply; gives the work up when the signal aborts. */
export type EngineCall<Request> = (
  request: Request,
  replyOptions: ReplyOptions,
  signal: AbortSignal,
) => Promise<Uint8Array>;

/** One call in both ways: over a channel, and as POST `path`, there as a frame or as JSON, whichever the request is. */
export function serveCall<T extends z.ZodType>(
  { v1, channels }: ModelRoutes,
  path: string,
  schema: T,
  call: EngineCall<z.output<T>>,
): void {
  channels.answer(path, async ({ body, signal, receivedMs }) => {
    const request = parseOrThrow(schema, flattenFrame(body));
    const replyOptions: ReplyOptions = { form: 'frame', receivedMs: performance.timeOrigin + receivedMs };
    return call(request, replyOptions, signal).catch(throwFromEngine);
  });

  v1.post(path, { schema: { body: schema }, config: { isRoutine: true } }, async (request, reply) => {
    const form = formOf(request.headers['content-type']);
    const replyOptions: ReplyOptions = {
      form,
      receivedMs: performance.timeOrigin + performance.now() - reply.elapsedTime,
    };
    const bytes = await call(request.body as z.output<T>, replyOptions, disconnectSignal(reply)).catch(throwFromEngine);
    return reply.type(CONTENT_TYPES[form]).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  });
}

/** A copy with memory of its own, which can be moved to another thread: a section shares the whole body's. */
export function detachable<T extends Int32Array | Float32Array | Float16Array>(section: T): T {
  return section.slice() as T;
}
