/** Fixtures, imported and run by the engine's runner as a target runs them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ModelRunner, openRunner } from '@forerunner/engine';

/** What transformers says of a fixture; see fixtures/make.py. */
export interface Reference {
  readonly prompt: readonly number[];
  readonly greedy: readonly number[];
  readonly last_logits: readonly number[];
  readonly forced: readonly number[];
  readonly forced_argmax: readonly number[];
}

export const fixtureDir = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

export function referenceOf(name: string): Reference {
  return JSON.parse(readFileSync(join(fixtureDir(name), 'reference.json'), 'utf8')) as Reference;
}

export interface Scratch {
  readonly dir: string;
  remove(): void;
}

export function scratchDir(): Scratch {
  const dir = mkdtempSync(join(tmpdir(), 'imported-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

export async function withRunner<T>(modelDir: string, use: (runner: ModelRunner) => Promise<T>): Promise<T> {
  const runner = await openRunner({
    modelDir,
    numThreads: 1,
    minRows: 2,
    maxBatchItems: 2,
    executionProvider: 'cpu',
    deviceId: 0,
    runtime: 'native',
  });
  try {
    return await use(runner);
  } finally {
    await runner.close();
  }
}

/** Logits of every row of one pass. */
export async function logitsOf(runner: ModelRunner, tokenIds: readonly number[], numLogitRows = tokenIds.length) {
  const cache = runner.createCache(tokenIds.length);
  const batch = await runner.forward([{ cache, numPastTokens: 0, tokenIds: Int32Array.from(tokenIds), numLogitRows }]);
  const logits = Float32Array.from(batch.outputs[0]!.logits);
  batch.release();
  cache.release();
  return logits;
}

/** Token by token, from a cache. */
export async function greedy(runner: ModelRunner, prompt: readonly number[], numTokens: number): Promise<number[]> {
  const cache = runner.createCache(prompt.length + numTokens);
  const tokens: number[] = [];
  let next: readonly number[] = prompt;
  for (let numPastTokens = 0; tokens.length < numTokens; ) {
    const tokenIds = Int32Array.from(next);
    const batch = await runner.forward([{ cache, numPastTokens, tokenIds, numLogitRows: 1 }]);
    tokens.push(argmax(batch.outputs[0]!.logits));
    batch.release();
    numPastTokens += next.length;
    next = tokens.slice(-1);
  }
  cache.release();
  return tokens;
}

function argmax(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}

/** Share of rows whose winner is the expected one. */
export function agreement(logits: Float32Array, expected: readonly number[]): number {
  const width = logits.length / expected.length;
  const same = expected.filter((id, row) => argmax(logits.subarray(row * width, (row + 1) * width)) === id);
  return same.length / expected.length;
}
