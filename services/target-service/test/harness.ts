/** A target-service on a real model, reached through its HTTP surface. */
import { type ModelService, openModelService } from '@forerunner/model-service';
import {
  encodeFrame,
  FRAME_CONTENT_TYPE,
  parseScoreReply,
  type ScoreReply,
  type ScoreRequestInput,
  scoreRequestFrame,
  TokenPrefix,
} from '@forerunner/protocol';
import type { ServiceApp } from '@forerunner/service-kit';
import { targetService } from '../src/service.ts';
import type { TargetMethods } from '../src/worker.ts';

export const VOCAB = 1024;

export interface TestTarget extends ModelService<TargetMethods> {
  close(): Promise<void>;
}

export async function openTarget(env: NodeJS.ProcessEnv = {}): Promise<TestTarget> {
  const service = await openModelService(
    targetService,
    { MODEL_SIZE: 'tiny', NUM_THREADS: '1', LOG_LEVEL: 'silent', ...env },
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

/** The request that scores `tokenIds[position..]` of a text. */
export function scoring(sequenceId: string, text: Int32Array, position = 0, more: object = {}): ScoreRequestInput {
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

export function post(app: ServiceApp, payload: Buffer | string | object, type = 'application/json') {
  return app.inject({ method: 'POST', url: '/v1/score', headers: { 'content-type': type }, payload });
}

export async function score(app: ServiceApp, request: ScoreRequestInput): Promise<ScoreReply> {
  const reply = await post(app, encodeFrame(scoreRequestFrame(request)), FRAME_CONTENT_TYPE);
  if (reply.statusCode !== 200) throw new Error(`${reply.statusCode}: ${reply.body}`);
  return parseScoreReply(reply.rawPayload);
}
