/** The only place that assembles the coordinator: what exists, and what is given to what. */

import { modelCardSchema } from '@forerunner/protocol';
import { createApp, type Logger, type ServiceApp } from '@forerunner/service-kit';
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
import { createMetrics } from './metrics.ts';
import { openPools } from './open-pools.ts';
import { registerOpenAiRoutes } from './openai/routes.ts';
import { PairDirectory } from './pair/directory.ts';
import type { DraftClient } from './pair/draft-client.ts';
import { DraftingDefaults } from './pair/drafting-defaults.ts';
import { Pair } from './pair/pair.ts';
import { PeerMonitor } from './pair/peer-monitor.ts';
import { replicaReportSchema, reportOf } from './pair/pool/replica-report.ts';
import { TextCodec } from './pair/text-codec.ts';
import { registerPlayground } from './playground/routes.ts';
import { createCallerOf } from './routes/caller.ts';
import { registerGenerateRoute } from './routes/generate.ts';
import { registerHealthRoutes } from './routes/health.ts';
import { lenientValidatorCompiler } from './routes/lenient-requests.ts';
import { RequestCounter } from './routes/request-counter.ts';

const modelDocs = documented({
  summary: 'Model cards of the pair, its replicas, and what its rounds cost beyond passes',
  tag: 'Service',
  reply: z.object({
    target: modelCardSchema,
    draft: modelCardSchema.nullable(),
    replicas: z.object({ target: z.array(replicaReportSchema), draft: z.array(replicaReportSchema) }),
    overheads: overheadsSchema,
  }),
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
  const { targets, drafts } = openPools(config, {
    tokenizerFingerprint: tokenizerFingerprint(modelDir),
    logger,
    registry,
    embeddedDraft,
  });
  const monitor = new PeerMonitor({ targets, drafts, intervalMs: config.PEER_CHECK_INTERVAL_MS, logger });
  const pair = new Pair({
    targets,
    drafts,
    monitor,
    codec: new TextCodec(Tokenizer.load(modelDir)),
    draftingDefaults: new DraftingDefaults(config),
  });
  const admission = new Admission({
    maxRunning: config.MAX_CONCURRENT_REQUESTS,
    maxWaiting: config.MAX_WAITING_REQUESTS,
  });
  const metrics = createMetrics(registry, { admission, drafts });
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
    const replicas = { target: targets.all.map(reportOf), draft: (drafts?.pool.all ?? []).map(reportOf) };
    return { target: served.card, draft: drafts?.card ?? null, replicas, overheads: runner.overheads(served) };
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
