/** Starts the speculative-coordinator: settings, model files, peers, then the port. */
import {
  ConfigError,
  createLogger,
  createRegistry,
  readConfig,
  resolveModelDir,
  runMain,
  serve,
} from '@forerunner/service-kit';
import { buildCoordinator } from './app.ts';
import { coordinatorSettings, EMBEDDED } from './config.ts';
import { openEmbeddedDraft } from './embedded-draft.ts';

const SERVICE = 'speculative-coordinator';

await runMain(SERVICE, async () => {
  const config = readConfig(coordinatorSettings, process.env);
  const logger = createLogger(SERVICE, config.LOG_LEVEL);
  const modelDir = resolveModelDir(config);
  const registry = createRegistry(SERVICE);
  const draft = config.DRAFT_ENDPOINT === EMBEDDED ? await openEmbeddedDraft(process.env, logger, registry) : null;
  const { app, monitor, close } = await buildCoordinator(config, modelDir, logger, registry, draft);
  await monitor.start();
  if (monitor.mismatch) throw new ConfigError(monitor.mismatch);
  await serve({
    app,
    logger,
    host: config.HOST,
    port: config.PORT,
    shutdownTimeoutMs: config.SHUTDOWN_TIMEOUT_S * 1000,
    onClosed: close,
  });
});
