/** The life of a model service's process: from its settings to the way out, also when the model's worker dies. */
import { type Readiness, runMain, serve } from '@forerunner/service-kit';
import type { Methods } from './model.ts';
import { type ModelServiceDefinition, openModelService } from './service.ts';

/** Long enough for the answers to pending requests to leave. */
const LAST_WORDS_MS = 200;

/** Runs until a signal, or the model's death, ends the process. */
export function runModelService<M extends Methods>(definition: ModelServiceDefinition<M>): Promise<void> {
  return runMain(definition.name, async () => {
    let readiness: Readiness = { ready: true };
    const startedMs = performance.now();
    const { config, logger, model, card, app } = await openModelService(definition, process.env, {
      readiness: () => readiness,
      onDeath: (reason, logger) => {
        readiness = { ready: false, reason: "the model's worker died" };
        logger.fatal({ err: reason }, "the model's worker died: this process ends");
        setTimeout(() => process.exit(1), LAST_WORDS_MS);
      },
    });
    logger.info({ card, ms: Math.round(performance.now() - startedMs) }, 'model ready');
    await serve({
      app,
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
