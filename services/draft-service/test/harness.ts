/** A draft-service on a real model, reached through its HTTP surface. */
import { type ModelService, openModelService } from '@forerunner/model-service';
import {
  encodeFrame,
  FRAME_CONTENT_TYPE,
  type ProposeReply,
  type ProposeRequestInput,
  parseProposeReply,
  proposeRequestFrame,
  TokenPrefix,
} from '@forerunner/protocol';
import type { ServiceApp } from '@forerunner/service-kit';
import { draftService } from '../src/service.ts';
import type { DraftMethods } from '../src/worker.ts';

export interface TestDraft extends ModelService<DraftMethods> {
  close(): Promise<void>;
}

export async function openDraft(env: NodeJS.ProcessEnv = {}): Promise<TestDraft> {
  const service = await openModelService(
    draftService,
    { MODEL_SIZE: 'tiny-draft', NUM_THREADS: '1', LOG_LEVEL: 'silent', ...env },
    {
      readiness: () => ({ ready: true }),
      onDeath: (reason) => {
        throw reason;
      },
    },
  );
  return {
    ...service,
    close: async () => {
      await service.app.close();
      await service.model.close();
    },
  };
}

/** Ids of a text that repeats only after a while. */
export function someIds(count: number, offset = 0): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => 3 + (((i + offset) * 37) % 997));
}

/** The request that sends `text[position..]` and asks how it goes on. */
export function proposing(sequenceId: string, text: Int32Array, position = 0, more: object = {}): ProposeRequestInput {
  const prefix = new TokenPrefix();
  prefix.append(text.subarray(0, position));
  return {
    sequence_id: sequenceId,
    position,
    prefix_digest: prefix.digestAt(position),
    token_ids: text.slice(position),
    ...more,
  };
}

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
