/** Settings of a draft within another process: the model's own, each with DRAFT_ before its name. */
import type { EngineConfig } from '@forerunner/model-service';
import { ConfigError, commonSettings, readConfig } from '@forerunner/service-kit';
import { z } from 'zod';
import { draftSettings } from './config.ts';

const PREFIX = 'DRAFT_';
/** Of a process that listens, and the folder of the catalogue, which is that of the process. */
const NOT_THE_MODELS = new Set([...Object.keys(commonSettings), 'PORT', 'MAX_BODY_BYTES', 'MODELS_DIR']);

export const embeddedDraftSettings = z.object(
  Object.fromEntries(
    Object.entries(draftSettings.shape)
      .filter(([name]) => !NOT_THE_MODELS.has(name))
      .map(([name, setting]) => [`${PREFIX}${name}`, setting]),
  ),
);

/** Errors: ConfigError, naming every bad setting as it was given. */
export function readEmbeddedConfig(env: NodeJS.ProcessEnv): EngineConfig {
  const given = readConfig(embeddedDraftSettings, env);
  const own = Object.entries(given).map(([name, value]) => [name.slice(PREFIX.length), value]);
  return { ...Object.fromEntries(own), MODELS_DIR: env.MODELS_DIR || undefined };
}

/** The same error, of the model that it is about. */
export function ofTheEmbeddedDraft(error: unknown): unknown {
  return error instanceof ConfigError
    ? new ConfigError(`the embedded draft: ${error.message}`, { cause: error })
    : error;
}
