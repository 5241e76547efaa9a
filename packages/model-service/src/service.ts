/** A model service put together, but not yet listening: settings, model, card and app. */
import type { ModelCard } from '@forerunner/protocol';
import {
  createLogger,
  createRegistry,
  type Logger,
  type Readiness,
  readConfig,
  resolveModelDir,
  type ServiceApp,
} from '@forerunner/service-kit';
import type { z } from 'zod';
import { type Methods, type ModelHost, modelCard, startModel } from './model.ts';
import type { ModelAppDeps } from './routes.ts';
import { type ModelServiceConfig, retiredSettings } from './settings.ts';

/** What makes one model service differ from another. */
export interface ModelServiceDefinition<M extends Methods> {
  readonly name: ModelCard['service'];
  readonly settings: z.ZodObject & z.ZodType<ModelServiceConfig>;
  /** The module that exports `openEngine`; loaded on whichever thread has the engine. */
  readonly engine: URL;
  /** See RunnerOptions. */
  readonly minRows: (config: ModelServiceConfig) => number;
  readonly buildApp: (config: ModelServiceConfig, deps: ModelAppDeps<M>) => ServiceApp;
}

export interface ModelService<M extends Methods> {
  readonly config: ModelServiceConfig;
  readonly logger: Logger;
  readonly modelDir: string;
  readonly model: ModelHost<M>;
  readonly card: ModelCard;
  readonly app: ServiceApp;
}

export interface ServiceEvents {
  readonly readiness: () => Readiness;
  /** The engine's own thread is gone although nobody closed it. On a shared one the process ends anyway. */
  readonly onDeath: (reason: Error, logger: Logger) => void;
}

/** Whoever opens it closes `app`, then `model`. Errors: ConfigError, naming what is wrong. */
export async function openModelService<M extends Methods>(
  definition: ModelServiceDefinition<M>,
  env: NodeJS.ProcessEnv,
  events: ServiceEvents,
): Promise<ModelService<M>> {
  const { name, settings, engine, minRows, buildApp } = definition;
  const config = readConfig(settings, env) as ModelServiceConfig;
  const logger = createLogger(name, config.LOG_LEVEL);
  for (const message of retiredSettings(env)) logger.warn(message);
  const modelDir = resolveModelDir(config);
  const onDeath = (reason: Error) => events.onDeath(reason, logger);
  const model = await startModel<M>({ engine, config, modelDir, minRows: minRows(config), logger, onDeath });
  const card = modelCard(name, modelDir, config, model.info);
  const { readiness } = events;
  const app = buildApp(config, { model, card, logger, registry: createRegistry(name), readiness });
  return { config, logger, modelDir, model, card, app };
}
