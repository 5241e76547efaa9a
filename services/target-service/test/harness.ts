/** A target-service on a real model, reached through its HTTP surface. */
import { type ModelHost, modelCard, startModel } from '@forerunner/model-service';
import {
  encodeFrame,
  FRAME_CONTENT_TYPE,
  parseScoreReply,
  type ScoreReply,
  type ScoreRequestInput,
  scoreRequestFrame,
  TokenPrefix,
} from '@forerunner/protocol';
import { createLogger, createRegistry, readConfig, resolveModelDir, type ServiceApp } from '@forerunner/service-kit';
import { buildTargetApp } from '../src/app.ts';
import { targetSettings } from '../src/config.ts';
import type { TargetMethods } from '../src/worker.ts';

export const VOCAB = 1024;

export interface TestTarget {
  readonly app: ServiceApp;
  readonly model: ModelHost<TargetMethods>;
  close(): Promise<void>;
}

export async function openTarget(env: NodeJS.ProcessEnv = {}): Promise<TestTarget> {
  const config = readConfig(targetSettings, { MODEL_SIZE: 'tiny', NUM_THREADS: '1', ...env });
  const modelDir = resolveModelDir(config);
  const logger = createLogger('target-service', 'silent');
  const onDeath = (reason: Error) => {
    throw reason;
  };
  const script = new URL('../src/worker.ts', import.meta.url);
  const model = await startModel<TargetMethods>({ script, config, modelDir, minRows: 2, logger, onDeath });
  const card = modelCard('target-service', modelDir, config, model.info);
  const registry = createRegistry('target-service');
  const app = buildTargetApp(config, { model, card, logger, registry, readiness: () => ({ ready: true }) });
  return {
    app,
    model,
    close: async () => {
      await app.close();
      await model.close();
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
