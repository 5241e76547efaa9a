/** Reads fields of config.json, with the family's default where transformers has one. Errors name field and value. */
import { ArchitectureError } from './errors.ts';

export type ModelConfig = Readonly<Record<string, unknown>>;

/** Errors: ArchitectureError bad_config, also when the field is absent and there is no default. */
export function positiveInteger(config: ModelConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (Number.isInteger(value) && (value as number) > 0) return value as number;
  throw wrong(key, value, 'a whole number above 0');
}

export function positiveNumber(config: ModelConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === 'number' && value > 0) return value;
  throw wrong(key, value, 'a number above 0');
}

/** Absent where the field is missing, null or 0. */
export function optionalNumber(config: ModelConfig, key: string): number | undefined {
  return config[key] == null || config[key] === 0 ? undefined : positiveNumber(config, key);
}

export function flag(config: ModelConfig, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback;
  if (typeof value === 'boolean') return value;
  throw wrong(key, value, 'true or false');
}

/** One entry for each layer; undefined where the field is missing. */
export function perLayer<T>(config: ModelConfig, key: string, numLayers: number): readonly T[] | undefined {
  const value = config[key];
  if (value == null) return undefined;
  if (Array.isArray(value) && value.length === numLayers) return value as T[];
  throw wrong(key, value, `a list of ${numLayers}, one for each layer`);
}

export function wrong(key: string, value: unknown, wanted: string): ArchitectureError {
  const found = value === undefined ? 'missing' : JSON.stringify(value);
  return new ArchitectureError('bad_config', `${key} in config.json is ${found}, not ${wanted}`);
}
