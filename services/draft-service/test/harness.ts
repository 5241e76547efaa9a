/** A draft-service on a real model, reached through its HTTP surface. */
import { type ModelHost, modelCard, startModel } from '@forerunner/model-service';
import {
  encodeFrame,
  FRAME_CONTENT_TYPE,
  type ProposeReply,
  type ProposeRequestInput,
  parseProposeReply,
  proposeRequestFrame,
  TokenPrefix,
} from '@forerunner/protocol';
import { createLogger, createRegistry, readConfig, resolveModelDir, type ServiceApp } from '@forerunner/service-kit';
import { buildDraftApp } from '../src/app.ts';
import { draftSettings } from '../src/config.ts';
import type { DraftMethods } from '../src/worker.ts';

export interface TestDraft {
  readonly app: ServiceApp;
  readonly model: ModelHost<DraftMethods>;
  readonly modelDir: string;
  close(): Promise<void>;
}

export async function openDraft(env: NodeJS.ProcessEnv = {}): Promise<TestDraft> {
  const config = readConfig(draftSettings, { MODEL_SIZE: 'tiny-draft', NUM_THREADS: '1', ...env });
  const modelDir = resolveModelDir(config);
  const logger = createLogger('draft-service', 'silent');
  const onDeath = (reason: Error) => {
    throw reason;
  };
  const script = new URL('../src/worker.ts', import.meta.url);
  const model = await startModel<DraftMethods>({ script, config, modelDir, minRows: 1, logger, onDeath });
  const card = modelCard('draft-service', modelDir, config, model.info);
  const registry = createRegistry('draft-service');
  const app = buildDraftApp(config, { model, card, logger, registry, readiness: () => ({ ready: true }) });
  return {
    app,
    model,
    modelDir,
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
