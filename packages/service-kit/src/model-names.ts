/**
 * Names of models on this machine: those of the catalogue, those that were imported, and folders by their path. For who
 * starts services; a service itself is told a folder or a name of the catalogue.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { readCatalogue } from './catalogue.ts';
import { ConfigError } from './config-error.ts';

export { readCatalogue };

export interface NamedModel {
  readonly name: string;
  readonly dir: string;
  readonly source: 'catalogue' | 'imported' | 'folder';
  readonly description: string;
}

/** Where models are imported to: FORERUNNER_MODELS, or ~/.forerunner/models. */
export function importedModelsDir(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.FORERUNNER_MODELS?.trim() || join(homedir(), '.forerunner', 'models'));
}

/** Imported models first, by name; then the catalogue's, of which a folder may be missing. */
export function listModels(env: NodeJS.ProcessEnv = process.env): NamedModel[] {
  const { modelsDir, models } = readCatalogue(env.MODELS_DIR);
  const known = Object.entries(models).map(([name, { dir, description }]) => {
    return { name, dir: isAbsolute(dir) ? dir : join(modelsDir, dir), source: 'catalogue', description } as const;
  });
  return [...importedModels(importedModelsDir(env)), ...known];
}

/** An imported model, one of the catalogue, or a folder. Errors: ConfigError, with the names that there are. */
export function findModel(name: string, env: NodeJS.ProcessEnv = process.env): NamedModel {
  const models = listModels(env);
  const found = models.find((model) => model.name === name);
  if (found) return found;
  if (isModel(name)) return { name, dir: resolve(name), source: 'folder', description: '' };
  const there = models.filter(({ dir }) => isModel(dir)).map((model) => model.name);
  throw new ConfigError(`there is no model "${name}", nor a folder of that name; there are ${there.join(', ')}`);
}

/** Whether a folder holds a model. */
export function isModel(dir: string): boolean {
  return (
    existsSync(join(dir, 'config.json')) &&
    ['model.onnx', 'onnx/model.onnx'].some((file) => existsSync(join(dir, file)))
  );
}

function importedModels(dir: string): NamedModel[] {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(dir)
    .filter((name) => isModel(join(dir, name)) && !name.includes('.importing-'))
    .sort()
    .map((name) => ({ name, dir: join(dir, name), source: 'imported', description: '' }));
}
