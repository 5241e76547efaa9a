/**
 * A checkpoint becomes a model folder. It is written beside its place under another name and renamed when it is complete,
 * so a folder that is there is whole; what an import that was ended left behind is cleared by the next one.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { describeModel } from '@forerunner/architecture';
import { ShardWriter } from '@forerunner/onnx-graph';
import type { Checkpoint } from './checkpoint/checkpoint.ts';
import { ImportError } from './errors.ts';
import { writeDecoder } from './graph/decoder.ts';
import { GraphWriter } from './graph/graph-writer.ts';
import { type Precision, weightBits } from './graph/precision.ts';
import { BLOCK } from './graph/quantise.ts';
import { weightsOf } from './weights/index.ts';

/** A weights file of more is split: some file systems and hubs end there. */
const MAX_FILE_BYTES = 2e9;

export interface ImportOptions {
  readonly precision: Precision;
  /** Hears after every chunk of weights. */
  readonly onProgress?: (done: { readonly numValues: number; readonly totalValues: number }) => void;
}

export interface ImportedModel {
  readonly dir: string;
  readonly family: string;
  readonly numParameters: number;
  readonly numBytes: number;
}

/**
 * Writes `outDir`: model.onnx, its data, config.json, tokenizer. Memory does not depend on the model's size.
 * Errors: ImportError (see its codes), ArchitectureError unsupported_architecture | bad_config.
 */
export function importCheckpoint(checkpoint: Checkpoint, outDir: string, options: ImportOptions): ImportedModel {
  const target = resolve(outDir);
  if (existsSync(target)) throw new ImportError('name_taken', `${target} is there already`);
  const model = describeModel(checkpoint.config);
  requireWholeBlocks(model.hiddenSize, options.precision);
  const weights = weightsOf(model, checkpoint);
  const companions = checkpoint.companions();
  const draft = newDraftFolder(target);
  const shards = new ShardWriter(draft, MAX_FILE_BYTES);
  const totalValues = [...checkpoint.tensors.values()].reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  try {
    let numValues = 0;
    const writer = new GraphWriter(options.precision, shards, (more) => {
      numValues += more;
      options.onProgress?.({ numValues, totalValues });
    });
    writeDecoder(writer, model, weights);
    shards.close();
    writeFileSync(join(draft, 'model.onnx'), writer.encode());
    writeFileSync(join(draft, 'config.json'), `${JSON.stringify(checkpoint.config, null, 1)}\n`);
    for (const [name, content] of companions) writeFileSync(join(draft, name), content);
    renameSync(draft, target);
    return { dir: target, family: model.family, numParameters: numValues, numBytes: shards.numBytes };
  } catch (error) {
    shards.close();
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
}

/** The embedding is looked up in blocks. */
function requireWholeBlocks(hiddenSize: number, precision: Precision): void {
  if (!weightBits(precision, 'embedding') || hiddenSize % BLOCK === 0) return;
  const message = `hidden_size ${hiddenSize} is no multiple of ${BLOCK}: ${precision} cannot be had, float16 and float32 can`;
  throw new ImportError('unsupported_precision', message);
}

const DRAFT_SUFFIX = '.importing-';

function newDraftFolder(target: string): string {
  const parent = dirname(target);
  mkdirSync(parent, { recursive: true });
  for (const name of readdirSync(parent)) {
    const [of, pid] = name.split(DRAFT_SUFFIX);
    if (of === basename(target) && pid !== undefined && !isRunning(Number(pid))) {
      rmSync(join(parent, name), { recursive: true, force: true });
    }
  }
  const draft = `${target}${DRAFT_SUFFIX}${process.pid}`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft);
  return draft;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
