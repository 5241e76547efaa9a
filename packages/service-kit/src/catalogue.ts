/** MODEL_SIZE -> a model's folder, by the catalogue beside the models. */
import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ConfigError } from './config-error.ts';

const DEFAULT_MODELS_DIR = fileURLToPath(new URL('../../../models', import.meta.url));

const catalogueSchema = z.object({
  models: z.record(z.string(), z.object({ dir: z.string(), description: z.string() })),
  /** Other names of hub models. */
  aliases: z.record(z.string(), z.string()).default({}),
  /** Models that can be fetched; `config` has the fields of config.json that give their size. */
  hub: z
    .record(
      z.string(),
      z.object({
        repository: z.string(),
        licence: z.string(),
        drafts: z.array(z.string()),
        config: z.record(z.string(), z.unknown()),
      }),
    )
    .default({}),
});

export interface ModelChoice {
  /** Folder with catalogue.json. */
  readonly MODELS_DIR?: string | undefined;
  readonly MODEL_SIZE: string;
  /** Overrides MODEL_SIZE. */
  readonly MODEL_DIR?: string | undefined;
}

/** Errors: ConfigError that names what is missing, or the sizes that there are. */
export function resolveModelDir(choice: ModelChoice): string {
  if (choice.MODEL_DIR !== undefined) return checked('MODEL_DIR', choice.MODEL_DIR);
  const { modelsDir, path, models } = readCatalogue(choice.MODELS_DIR);
  const entry = Object.hasOwn(models, choice.MODEL_SIZE) ? models[choice.MODEL_SIZE] : undefined;
  if (!entry) {
    const known = Object.keys(models).join(', ');
    throw new ConfigError(`MODEL_SIZE=${choice.MODEL_SIZE} is not in ${path}; it knows ${known}`);
  }
  return checked(`MODEL_SIZE=${choice.MODEL_SIZE}`, isAbsolute(entry.dir) ? entry.dir : join(modelsDir, entry.dir));
}

/** Errors: ConfigError where there is no catalogue. */
export function readCatalogue(modelsDir = DEFAULT_MODELS_DIR) {
  const path = join(modelsDir, 'catalogue.json');
  if (!existsSync(path)) throw new ConfigError(`MODELS_DIR=${modelsDir} has no catalogue.json`);
  const { models, aliases, hub } = catalogueSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  return { modelsDir, path, models, aliases, hub };
}

function checked(setting: string, dir: string): string {
  if (existsSync(join(dir, 'config.json'))) return dir;
  throw new ConfigError(`${setting}: there is no model in ${dir} (no config.json)`);
}
