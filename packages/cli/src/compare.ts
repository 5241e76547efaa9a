/**
 * What a precision costs: the imported model beside its source in float32 over the same text, row by row. KL divergence
 * says how far the distributions of the next token are apart, agreement how often the same token is likeliest.
 */
import { type ModelRunner, openRunner } from '@forerunner/engine';
import { argmax, logSumExp } from '@forerunner/sampling';

export interface Comparison {
  readonly numTokens: number;
  /** Mean of KL(float32 ‖ imported), in nats. */
  readonly klDivergence: number;
  /** Share of rows whose likeliest token is the same. */
  readonly agreement: number;
}

/** Rows of logits in memory at a time. */
const ROWS = 32;

/** Errors: EngineError, when a model cannot be loaded or run. */
export async function compareModels(
  float32Dir: string,
  importedDir: string,
  text: Int32Array, // token ids; what is beyond the models' context is left out
  onRows: (done: number, total: number) => void = () => {},
): Promise<Comparison> {
  const source = await open(float32Dir);
  const imported = await open(importedDir).catch(async (error) => {
    await source.close();
    throw error;
  });
  const tokenIds = text.subarray(0, source.signature.contextLength - 1); // a row more may be padding
  let [kl, same] = [0, 0];
  onRows(0, tokenIds.length);
  try {
    const [sourceRows, importedRows] = [rowsOf(source, tokenIds), rowsOf(imported, tokenIds)];
    const width = source.signature.headSize;
    for (let from = 0; from < tokenIds.length; from += ROWS) {
      const [wanted, got] = [await sourceRows(from), await importedRows(from)];
      for (let at = 0; at < wanted.length; at += width) {
        const [p, q] = [wanted.subarray(at, at + width), got.subarray(at, at + width)];
        kl += klDivergence(p, q);
        if (argmax(p) === argmax(q)) same++;
      }
      onRows(Math.min(from + ROWS, tokenIds.length), tokenIds.length);
    }
  } finally {
    await source.close();
    await imported.close();
  }
  return { numTokens: tokenIds.length, klDivergence: kl / tokenIds.length, agreement: same / tokenIds.length };
}

/** KL(p ‖ q) in nats of the distributions that two rows of logits stand for. */
function klDivergence(pLogits: Float32Array, qLogits: Float32Array): number {
  const [pLogSum, qLogSum] = [logSumExp(pLogits), logSumExp(qLogits)];
  let sum = 0;
  for (let i = 0; i < pLogits.length; i++) {
    const logP = pLogits[i]! - pLogSum;
    sum += Math.exp(logP) * (logP - (qLogits[i]! - qLogSum));
  }
  return sum;
}

/** Logits of ROWS tokens from a position on; to be asked in order. A copy. */
function rowsOf(runner: ModelRunner, tokenIds: Int32Array) {
  const cache = runner.createCache(tokenIds.length);
  return async (from: number): Promise<Float32Array> => {
    const chunk = tokenIds.subarray(from, from + ROWS);
    cache.ensureCapacity(from + chunk.length + 1, from);
    const batch = await runner.forward([{ cache, numPastTokens: from, tokenIds: chunk, numLogitRows: chunk.length }]);
    const logits = Float32Array.from(batch.outputs[0]!.logits);
    batch.release();
    if (from + ROWS >= tokenIds.length) cache.release();
    return logits;
  };
}

/** As a target runs it. */
function open(modelDir: string): Promise<ModelRunner> {
  const options = { numThreads: 1, minRows: 2, maxBatchItems: 1, executionProvider: 'cpu', deviceId: 0 } as const;
  return openRunner({ ...options, modelDir, runtime: 'auto' });
}
