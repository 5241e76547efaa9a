/** A target-service on a real model, reached through its HTTP surface. */
import {
  encodeFrame,
  FRAME_CONTENT_TYPE,
  parseScoreReply,
  type ScoreReply,
  type ScoreRequestInput,
  scoreRequestFrame,
} from '@forerunner/protocol';
import type { ServiceApp } from '@forerunner/service-kit';
import { aboutText, type InProcessService, openInProcess } from '@forerunner/testkit/in-process';
import { targetService } from '../src/service.ts';

export type TestTarget = InProcessService<typeof targetService>;

export const openTarget = (env: NodeJS.ProcessEnv = {}): Promise<TestTarget> =>
  openInProcess(targetService, { MODEL_SIZE: 'tiny', ...env });

/** The request that scores `text[position..]`. */
export const scoring = (id: string, text: Int32Array, position = 0, more: object = {}): ScoreRequestInput => ({
  ...aboutText(id, text, position),
  ...more,
});

export function post(app: ServiceApp, payload: Buffer | string | object, type = 'application/json') {
  return app.inject({ method: 'POST', url: '/v1/score', headers: { 'content-type': type }, payload });
}

export async function score(app: ServiceApp, request: ScoreRequestInput): Promise<ScoreReply> {
  const reply = await post(app, encodeFrame(scoreRequestFrame(request)), FRAME_CONTENT_TYPE);
  if (reply.statusCode !== 200) throw new Error(`${reply.statusCode}: ${reply.body}`);
  return parseScoreReply(reply.rawPayload);
}
