/** The life of a model service: settings, model, port, and the way out, also when the model's worker dies. */
import type { ModelCard } from '@forerunner/protocol';
import {
  createLogger,
  createRegistry,
  type Readiness,
  readConfig,
  resolveModelDir,
  runMain,
  type ServiceApp,
  serve,
} from '@forerunner/service-kit';
import type { z } from 'zod';
import { type Methods, modelCard, startModel } from './model.ts';
import type { ModelAppDeps } from './routes.ts';
import type { ModelServiceConfig } from './settings.ts';

/** Long enough for the answers to pending requests to leave. */
const LAST_WORDS_MS = 200;

export interface ModelServiceDefinition<M extends Methods, C extends ModelServiceConfig> {
  readonly name: ModelCard['service'];
  readonly settings: z.ZodType<C> & z.ZodObject;
  /** The worker's main module. */
  readonly worker: URL;
  /** Fewest rows of a pass. */
  readonly minRows: (config: C) => number;
  readonly buildApp: (config: C, deps: ModelAppDeps<M>) => ServiceApp;
}

/** Runs until a signal ends the process. */
export function runModelService<M extends Methods, C extends ModelServiceConfig>(
  definition: ModelServiceDefinition<M, C>,
): Promise<void> {
  const { name, settings, worker: script, minRows, buildApp } = definition;
  return runMain(name, async () => {
    const config = readConfig(settings, process.env) as C;
    const logger = createLogger(name, config.LOG_LEVEL);
    const modelDir = resolveModelDir(config);
    let readiness: Readiness = { ready: true };

    const onDeath = (reason: Error) => {
      readiness = { ready: false, reason: "the model's worker died" };
      logger.fatal({ err: reason }, "the model's worker died: this process ends");
      setTimeout(() => process.exit(1), LAST_WORDS_MS);
    };
    const startedMs = performance.now();
    const model = await startModel<M>({ script, config, modelDir, minRows: minRows(config), logger, onDeath });
    const card = modelCard(name, modelDir, config, model.info);
    logger.info({ card, ms: Math.round(performance.now() - startedMs) }, 'model ready');

    await serve({
      app: buildApp(config, { model, card, logger, registry: createRegistry(name), readiness: () => readiness }),
      logger,
      host: config.HOST,
      port: config.PORT,
      shutdownTimeoutMs: config.SHUTDOWN_TIMEOUT_S * 1000,
      onDrain: () => {
        readiness = { ready: false, reason: 'the service is shutting down' };
      },
      onClosed: () => model.close(),
    });
  });
}
