/**
 * Where the files of a model folder are, and what its json files say. Knows the layouts of onnxruntime-genai, Optimum
 * and onnx-community exports. Knows nothing of sessions; never reads weights.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { textConfigOf } from '@forerunner/architecture';
import { operatorsOf } from '@forerunner/onnx-graph/operators';
import { type EngineError, modelNotFound, modelUnsupported } from '../errors.ts';

/** How the graph attends: what decides whether past and present may share memory, and what may be batched. */
export type AttentionKind = 'group-query' | 'plain';

export interface ModelFiles {
  readonly graphPath: string;
  /** config.json (of a model that also sees, its text part), overlaid with generation_config.json's bos and eos. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Read from the graph when first asked for. */
  readonly attention: AttentionKind;
  /** Bytes of a file that lies beside config.json. */
  readSibling(name: string): Buffer;
}

/** Errors: EngineError model_not_found (which file is missing) | model_unsupported (which file makes no sense). */
export function openModelFiles(modelDir: string): ModelFiles {
  if (!existsSync(modelDir)) throw modelNotFound(`no model folder at ${modelDir}`, { model_dir: modelDir });
  const graphPath = findGraph(modelDir);
  const config = readJson(modelDir, 'config.json');
  if (!config) {
    throw modelNotFound(`${basename(modelDir)} has no config.json`, { model_dir: modelDir });
  }
  const generation = readJson(modelDir, 'generation_config.json') ?? {};
  let attention: AttentionKind | undefined;
  return {
    graphPath,
    config: { ...textConfigOf(config), ...pick(generation, ['eos_token_id', 'bos_token_id']) },
    get attention() {
      attention ??= attentionOf(graphPath);
      return attention;
    },
    readSibling(name) {
      if (basename(name) !== name) {
        throw modelUnsupported(`config.json names ${name}: only a file beside it is allowed`);
      }
      try {
        return readFileSync(join(modelDir, name));
      } catch (cause) {
        const message = `config.json of ${basename(modelDir)} names ${name}, which cannot be read`;
        throw modelNotFound(message, { model_dir: modelDir, name }, cause);
      }
    },
  };
}

function findGraph(modelDir: string): string {
  for (const candidate of ['model.onnx', 'onnx/model.onnx']) {
    if (existsSync(join(modelDir, candidate))) return join(modelDir, candidate);
  }
  const others = ['.', 'onnx'].flatMap((sub) =>
    existsSync(join(modelDir, sub))
      ? readdirSync(join(modelDir, sub))
          .filter((name) => name.endsWith('.onnx'))
          .map((name) => join(sub, name))
      : [],
  );
  const [only] = others;
  if (only !== undefined && others.length === 1) return join(modelDir, only);
  const hint =
    others.length > 1 ? `several graphs (${others.join(', ')}) and none is called model.onnx` : 'no model.onnx';
  throw modelNotFound(`${basename(modelDir)} has ${hint}`, { model_dir: modelDir, found: others });
}

function readJson(modelDir: string, name: string): Record<string, unknown> | undefined {
  const path = join(modelDir, name);
  if (!existsSync(path)) return undefined;
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    throw new TypeError('not an object');
  } catch (cause) {
    throw modelUnsupported(`${name} of ${basename(modelDir)} is not a JSON object`, {}, cause);
  }
}

function pick(from: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.filter((key) => from[key] != null).map((key) => [key, from[key]]));
}

/** Errors: EngineError model_unsupported, when the file is no ONNX graph. */
function attentionOf(graphPath: string): AttentionKind {
  let operators: Set<string>;
  try {
    operators = operatorsOf(readFileSync(graphPath));
  } catch (cause) {
    throw loadError(graphPath, cause as Error);
  }
  return operators.has('com.microsoft.GroupQueryAttention') ? 'group-query' : 'plain';
}

/** What a runtime's refusal to load a graph means: a file that is missing, or a graph that does not fit. */
export function loadError(graphPath: string, cause: Error): EngineError {
  const missing = /does not exist|doesn't exist|no such file/i.test(cause.message);
  const make = missing ? modelNotFound : modelUnsupported;
  return make(`cannot load ${graphPath}: ${cause.message}`, {}, cause);
}
