/**
 * Model folders on disk: finds graph and configuration in the layouts of onnxruntime-genai, Optimum and onnx-community,
 * and writes a new folder around a changed graph. Weights are hard-linked where the file system allows it, else copied
 * by the file system; they are never read here.
 */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { decodeModel, type GraphProto, isExternal } from '@forerunner/onnx-graph';
import { ModelToolError } from './errors.ts';

export interface ModelFolder {
  readonly dir: string;
  readonly graphPath: string;
  /** Where the graph's external data lies. */
  readonly graphDir: string;
  readonly graphBytes: Uint8Array;
  readonly config: Readonly<Record<string, unknown>>;
}

/** Errors: ModelToolError bad_folder, saying which file is missing. */
export function openModelFolder(dir: string): ModelFolder {
  if (!existsSync(dir)) throw new ModelToolError('bad_folder', `there is no folder ${dir}`);
  const graphDir = [dir, join(dir, 'onnx')].find((candidate) => existsSync(join(candidate, 'model.onnx')));
  if (!graphDir) throw new ModelToolError('bad_folder', `${dir} has neither model.onnx nor onnx/model.onnx`);
  const graphPath = join(graphDir, 'model.onnx');
  return { dir, graphPath, graphDir, graphBytes: readFileSync(graphPath), config: readConfig(dir) };
}

function readConfig(dir: string): Record<string, unknown> {
  const path = join(dir, 'config.json');
  if (!existsSync(path)) throw new ModelToolError('bad_folder', `${dir} has no config.json (the model's, not genai's)`);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch (cause) {
    throw new ModelToolError('bad_folder', `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Width of an attention head, from config.json's head_dim or its quotient. Errors: ModelToolError bad_folder. */
export function headDimOf(config: ModelFolder['config']): number {
  const headDim = config.head_dim ?? Number(config.hidden_size) / Number(config.num_attention_heads);
  if (typeof headDim === 'number' && Number.isInteger(headDim) && headDim > 0) return headDim;
  throw new ModelToolError('bad_folder', 'config.json tells no head_dim, nor hidden_size and num_attention_heads');
}

/** Names of the external files that a graph's initialisers lie in, sorted. */
export function externalFilesOf(graph: GraphProto): string[] {
  const locations = graph.initializer
    .filter(isExternal)
    .map((tensor) => tensor.externalData?.find((entry) => entry.key === 'location')?.value ?? '');
  return [...new Set(locations)].sort();
}

/**
 * A folder `outDir` with the new graph as model.onnx beside everything else that `source` has: external data that the
 * graph names, configuration, tokenizer, licences. With outDir = source.dir the graph is replaced in place.
 * Errors: ModelToolError bad_folder when outDir already holds a model.
 */
export function writeModelFolder(source: ModelFolder, outDir: string, graphBytes: Uint8Array): void {
  if (resolve(outDir) === resolve(source.dir)) {
    replaceFile(source.graphPath, graphBytes);
    return;
  }
  createFolder(outDir);
  copyCompanions(source, outDir);
  for (const name of externalFilesOf(decodeModel(graphBytes).graph)) {
    linkOrCopy(join(source.graphDir, name), join(outDir, name));
  }
  writeFileSync(join(outDir, 'model.onnx'), graphBytes);
}

/** Errors: ModelToolError bad_folder when there is a model in it. */
export function createFolder(outDir: string): void {
  if (existsSync(join(outDir, 'model.onnx'))) {
    throw new ModelToolError('bad_folder', `${outDir} already holds a model: name a folder that does not exist yet`);
  }
  mkdirSync(outDir, { recursive: true });
}

/** Configuration, tokenizer, d2t.i32, licences: every small file but graphs, weights and genai's own settings. */
export function copyCompanions(source: ModelFolder, outDir: string): void {
  for (const entry of readdirSync(source.dir, { withFileTypes: true })) {
    if (!entry.isFile() || entry.name.includes('.onnx') || entry.name === 'genai_config.json') continue;
    copyFileSync(join(source.dir, entry.name), join(outDir, entry.name));
  }
}

function replaceFile(path: string, bytes: Uint8Array): void {
  const draft = `${path}.${process.pid}.tmp`;
  writeFileSync(draft, bytes);
  renameSync(draft, path);
}

function linkOrCopy(from: string, to: string): void {
  if (!existsSync(from))
    throw new ModelToolError('bad_folder', `the graph needs ${basename(from)}, which is not there`);
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
