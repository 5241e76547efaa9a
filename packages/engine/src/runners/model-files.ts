/**
 * Where the files of a model folder are, and what its json files say. Knows the layouts of onnxruntime-genai, Optimum
 * and onnx-community exports. Knows nothing of sessions; never reads weights.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { EngineError } from '../errors.ts';

/** How the graph attends: what decides whether past and present may share memory, and what may be batched. */
export type AttentionKind = 'group-query' | 'plain';

export interface ModelFiles {
  readonly graphPath: string;
  /** config.json, overlaid with generation_config.json's bos and eos. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly attention: AttentionKind;
  /** Bytes of a file that lies beside config.json. */
  readSibling(name: string): Buffer;
}

/** Errors: EngineError model_not_found (which file is missing) | model_unsupported (which file makes no sense). */
export function openModelFiles(modelDir: string): ModelFiles {
  if (!existsSync(modelDir)) throw new EngineError('model_not_found', `no model folder at ${modelDir}`, { modelDir });
  const graphPath = findGraph(modelDir);
  const config = readJson(modelDir, 'config.json');
  if (!config) {
    throw new EngineError('model_not_found', `${basename(modelDir)} has no config.json`, { modelDir });
  }
  const generation = readJson(modelDir, 'generation_config.json') ?? {};
  return {
    graphPath,
    config: { ...config, ...pick(generation, ['eos_token_id', 'bos_token_id']) },
    attention: attentionOf(graphPath),
    readSibling(name) {
      if (basename(name) !== name) {
        throw new EngineError('model_unsupported', `config.json names ${name}: only a file beside it is allowed`);
      }
      try {
        return readFileSync(join(modelDir, name));
      } catch (cause) {
        const message = `config.json of ${basename(modelDir)} names ${name}, which cannot be read`;
        throw new EngineError('model_not_found', message, { modelDir, name }, { cause });
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
  throw new EngineError('model_not_found', `${basename(modelDir)} has ${hint}`, { modelDir, found: others });
}

function readJson(modelDir: string, name: string): Record<string, unknown> | undefined {
  const path = join(modelDir, name);
  if (!existsSync(path)) return undefined;
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    throw new TypeError('not an object');
  } catch (cause) {
    throw new EngineError('model_unsupported', `${name} of ${basename(modelDir)} is not a JSON object`, {}, { cause });
  }
}

function pick(from: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.filter((key) => from[key] != null).map((key) => [key, from[key]]));
}

/**
 * Looks for the operator names as the protobuf writes them (NodeProto.op_type: field 4, length, text), so that a node
 * that merely carries such a name is not taken for one. Reads the file in blocks: weights may be inside.
 */
function attentionOf(graphPath: string): AttentionKind {
  const groupQuery = opTypeField('GroupQueryAttention');
  const file = openSync(graphPath, 'r');
  try {
    const overlap = groupQuery.length - 1;
    const block = Buffer.alloc(1 << 22);
    let kept = 0;
    for (;;) {
      const numRead = readSync(file, block, kept, block.length - kept, null);
      if (numRead === 0) return 'plain';
      const text = block.subarray(0, kept + numRead);
      if (text.includes(groupQuery)) return 'group-query';
      kept = Math.min(overlap, text.length);
      block.copyWithin(0, text.length - kept, text.length);
    }
  } finally {
    closeSync(file);
  }
}

function opTypeField(opType: string): Buffer {
  return Buffer.concat([Buffer.from([0x22, opType.length]), Buffer.from(opType, 'ascii')]);
}

/** What a runtime's refusal to load a graph means: a file that is missing, or a graph that does not fit. */
export function loadError(graphPath: string, cause: Error): EngineError {
  const missing = /does not exist|doesn't exist|no such file/i.test(cause.message);
  const code = missing ? 'model_not_found' : 'model_unsupported';
  return new EngineError(code, `cannot load ${graphPath}: ${cause.message}`, {}, { cause });
}
