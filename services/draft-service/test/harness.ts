/** A draft-service on a real model, reached through its HTTP surface. */
import {
  encodeFrame,
  FRAME_CONTENT_TYPE,
  type ProposeReply,
  type ProposeRequestInput,
  parseProposeReply,
  proposeRequestFrame,
} from '@forerunner/protocol';
import type { ServiceApp } from '@forerunner/service-kit';
import { aboutText, type InProcessService, openInProcess } from '@forerunner/testkit/in-process';
import { draftService } from '../src/service.ts';

export type TestDraft = InProcessService<typeof draftService>;

export const openDraft = (env: NodeJS.ProcessEnv = {}): Promise<TestDraft> =>
  openInProcess(draftService, { MODEL_SIZE: 'tiny-draft', ...env });

/** The request that sends `text[position..]` and asks how it goes on. */
export const proposing = (id: string, text: Int32Array, position = 0, more: object = {}): ProposeRequestInput => ({
  ...aboutText(id, text, position),
  ...more,
});

export function post(app: ServiceApp, request: ProposeRequestInput) {
  const headers = { 'content-type': FRAME_CONTENT_TYPE };
  return app.inject({
    method: 'POST',
    url: '/v1/propose',
    headers,
    payload: encodeFrame(proposeRequestFrame(request)),
  });
}

export async function propose(app: ServiceApp, request: ProposeRequestInput): Promise<ProposeReply> {
  const reply = await post(app, request);
  if (reply.statusCode !== 200) throw new Error(`${reply.statusCode}: ${reply.body}`);
  return parseProposeReply(reply.rawPayload);
}

export function concat(...parts: Int32Array[]): Int32Array {
  return Int32Array.from(parts.flatMap((part) => [...part]));
}
