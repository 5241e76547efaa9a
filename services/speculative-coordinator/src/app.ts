/** The only place that assembles the coordinator: what exists, and what is given to what. */

import { modelCardSchema } from '@forerunner/protocol';
import { createApp, type Logger, PeerClient, type PeerClientOptions, type ServiceApp } from '@forerunner/service-kit';
import { Tokenizer, tokenizerFingerprint } from '@forerunner/tokenizer';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import { installAccess } from './access/install-access.ts';
import { readTls } from './access/tls.ts';
import { Admission } from './admission.ts';
import type { CoordinatorConfig } from './config.ts';
import { documented } from './docs/documented.ts';
import { installOpenApi } from './docs/openapi.ts';
import { installReader } from './docs/reader.ts';
import { overheadsSchema } from './drafting/length/pair-costs.ts';
import { AnswerRunner } from './generation/answer-runner.ts';
import { GrammarEngine } from './generation/grammar/grammar-engine.ts';
import { createMetrics, createTrafficCounter } from './metrics.ts';
import { registerOpenAiRoutes } from './openai/routes.ts';
import { PairDirectory } from './pair/directory.ts';
import { type DraftClient, RemoteDraft } from './pair/draft-client.ts';
import { DraftPeer } from './pair/draft-peer.ts';
import { DraftingDefaults } from './pair/drafting-defaults.ts';
import { Pair } from './pair/pair.ts';
import { PeerMonitor } from './pair/peer-monitor.ts';
import { TargetReplicas } from './pair/target-replicas.ts';
import { TextCodec } from './pair/text-codec.ts';
import { registerPlayground } from './playground/routes.ts';
import { createCallerOf } from './routes/caller.ts';
import { registerGenerateRoute } from './routes/generate.ts';
import { registerHealthRoutes } from './routes/health.ts';
import { lenientValidatorCompiler } from './routes/lenient-requests.ts';
import { RequestCounter } from './routes/request-counter.ts';

const modelDocs = documented({
  summary: 'Model cards of the pair, and what its rounds cost beyond passes',
  tag: 'Service',
  reply: z.object({ target: modelCardSchema, draft: modelCardSchema.nullable(), overheads: overheadsSchema }),
});

export interface Coordinator {
  readonly app: ServiceApp;
  readonly monitor: PeerMonitor;
  readonly close: () => Promise<void>;
}

/** `modelDir` holds the target's tokenizer files. `embeddedDraft`: in place of a draft-service; closed with the rest. */
export async function buildCoordinator(
  config: CoordinatorConfig,
  modelDir: string,
  logger: Logger,
  registry: Registry,
  embeddedDraft: DraftClient | null = null,
): Promise<Coordinator> {
  const traffic = createTrafficCounter(registry);
  const peerOptions = (peer: string): PeerClientOptions => ({
    connections: Math.max(4, 2 * config.MAX_CONCURRENT_REQUESTS),
    useChannels: true,
    token: config.SERVICE_TOKEN,
    onTraffic: (sentBytes, receivedBytes) => {
      traffic.inc({ peer, direction: 'sent' }, sentBytes);
      traffic.inc({ peer, direction: 'received' }, receivedBytes);
    },
  });
  const targets = new TargetReplicas(
    config.TARGET_ENDPOINT.map((url) => new PeerClient('target-service', url, peerOptions('target'))),
  );
  const { DRAFT_ENDPOINT: draftUrl, DRAFT_TIMEOUT_MS: timeoutMs } = config;
  const client =
    embeddedDraft ?? (draftUrl && new RemoteDraft(new PeerClient('draft-service', draftUrl, peerOptions('draft'))));
  const draft = client ? new DraftPeer({ client, timeoutMs, logger }) : null;
  const monitor = new PeerMonitor({
    targets,
    draft,
    tokenizerFingerprint: tokenizerFingerprint(modelDir),
    intervalMs: config.PEER_CHECK_INTERVAL_MS,
    logger,
  });
  const pair = new Pair({
    targets,
    draft,
    monitor,
    codec: new TextCodec(Tokenizer.load(modelDir)),
    draftingDefaults: new DraftingDefaults(config),
  });
  const admission = new Admission({
    maxRunning: config.MAX_CONCURRENT_REQUESTS,
    maxWaiting: config.MAX_WAITING_REQUESTS,
  });
  const metrics = createMetrics(registry, { admission, draft });
  const grammars = new GrammarEngine({ modelDir, compileTimeoutMs: config.GRAMMAR_COMPILE_TIMEOUT_MS });
  const runner = new AnswerRunner({ config, admission, metrics, grammars });

  const app = createApp({
    logger,
    registry,
    readiness: () => monitor.readiness,
    bodyLimitBytes: config.MAX_BODY_BYTES,
    ...readTls(config),
  });
  await installOpenApi(app);
  const guard = await installAccess(app, config, logger, registry);
  const callerOf = createCallerOf({
    timeoutMs: config.REQUEST_TIMEOUT_S * 1000,
    cacheScopeOf: (request) => guard.cacheScopeOf(request),
    onTokens: (request, numPrompt, numCompletion) => guard.countTokens(request, numPrompt, numCompletion),
  });
  const routeDeps = {
    pairs: new PairDirectory(pair, config.MODEL_ALIASES),
    runner,
    requests: new RequestCounter(metrics, admission),
    callerOf,
  };
  if (!config.STRICT_REQUESTS) app.setValidatorCompiler(lenientValidatorCompiler(logger));
  registerGenerateRoute(app, routeDeps);
  await registerOpenAiRoutes(app, routeDeps);
  registerHealthRoutes(app, () => monitor.readiness);
  registerPlayground(app);
  await installReader(app);
  app.get('/v1/model', { schema: modelDocs }, async () => {
    const served = pair.serve();
    return { target: served.card, draft: draft?.card ?? null, overheads: runner.overheads(served) };
  });

  return {
    app,
    monitor,
    close: async () => {
      await runner.settled();
      await grammars.close();
      await pair.close();
    },
  };
}
