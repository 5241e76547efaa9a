/** A digest that changes when a model does, cheap enough for weights of any size. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openModelFiles } from './runners/model-files.ts';

const NUM_SAMPLES = 16;
const SAMPLE_BYTES = 65_536;

/**
 * SHA-256, hexadecimal, over the graph and config.json in full and, for every other file beside the graph that is not
 * text, its size and 16 blocks of 64 KiB evenly spread over it.
 * Errors: EngineError model_not_found | model_unsupported.
 */
export function modelDigest(modelDir: string): string {
  const { graphPath } = openModelFiles(modelDir);
  const hash = createHash('sha256');
  for (const path of [graphPath, join(modelDir, 'config.json')]) {
    const bytes = readFileSync(path);
    hash.update(`${bytes.length}\n`).update(bytes);
  }
  const folder = dirname(graphPath);
  const weights = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(onnx|json|txt|md|jinja)$/.test(entry.name) && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .sort();
  for (const name of weights) sampleFile(hash, join(folder, name), name);
  return hash.digest('hex');
}

function sampleFile(hash: Hash, path: string, name: string): void {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    hash.update(`${name} ${size}\n`);
    const block = Buffer.alloc(SAMPLE_BYTES);
    const stride = Math.max(SAMPLE_BYTES, Math.floor((size - SAMPLE_BYTES) / (NUM_SAMPLES - 1)));
    for (let i = 0, at = 0; i < NUM_SAMPLES && at < size; i++, at += stride) {
      hash.update(block.subarray(0, readSync(file, block, 0, SAMPLE_BYTES, at)));
    }
  } finally {
    closeSync(file);
  }
}
