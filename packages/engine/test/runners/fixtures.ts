/** What the runner tests share: where models are, how to open one, how to read rows. */
import { fileURLToPath } from 'node:url';
import { EngineError, type ForwardItem, type KvCache, type ModelRunner, openRunner } from '../../src/index.ts';
import type { OpenRunnerOptions } from '../../src/runners/open-runner.ts';

/** The native runner twice: batching makes it rewrite the graph. */
export const runtimes = ['native', 'native with batches', 'node'] as const;
export type Runtime = (typeof runtimes)[number];

export function modelDir(name: string): string {
  return fileURLToPath(new URL(`../../../../models/${name}`, import.meta.url));
}

export function open(
  runtime: Runtime,
  model: string,
  overrides: Partial<OpenRunnerOptions> = {},
): Promise<ModelRunner> {
  return openRunner({
    modelDir: modelDir(model),
    numThreads: 1,
    minRows: 2,
    maxBatchItems: runtime === 'native with batches' ? 4 : 1,
    executionProvider: 'cpu',
    deviceId: 0,
    runtime: runtime === 'node' ? 'node' : 'native',
    ...overrides,
  });
}

/** Ids that are valid in every model of the tests and repeat only after a while. */
export function someIds(count: number, offset = 0): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => 3 + (((i + offset) * 37) % 997));
}

/** One pass over one sequence; the rows are copies, so they outlive the pass. */
export async function pass(
  runner: ModelRunner,
  cache: KvCache,
  numPastTokens: number,
  tokenIds: Int32Array,
  extra: Partial<ForwardItem> = {},
): Promise<{ logits: Float32Array; hiddenStates: Float32Array | undefined }> {
  const batch = await runner.forward([{ cache, numPastTokens, tokenIds, numLogitRows: tokenIds.length, ...extra }]);
  const [output] = batch.outputs;
  const copy = { logits: output!.logits.slice(), hiddenStates: output!.hiddenStates?.slice() };
  batch.release();
  return copy;
}

/** Aborts when the runner first listens: the pass has its turn and has not begun, so it is cancelled however busy the host. */
export function abortedOnceHeard(): AbortSignal {
  const abort = new AbortController();
  const listen = abort.signal.addEventListener.bind(abort.signal) as (...given: unknown[]) => void;
  abort.signal.addEventListener = (...given: unknown[]) => {
    listen(...given);
    abort.abort();
  };
  return abort.signal;
}

export function row(values: Float32Array, width: number, index: number): Float32Array {
  return values.subarray(index * width, (index + 1) * width);
}

export function argmax(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}

export function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

/** True when every bit is the same (NaN included, so a row of NaN does not pass for equal to anything else). */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bytes = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return bytes(a).equals(bytes(b));
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return error instanceof EngineError ? error.code : `${(error as Error).name}: ${(error as Error).message}`;
  }
}
