/**
 * One check per rewrite: runs the original and the rewritten graph over the same tokens, the way the rewrite is meant
 * to be used, and reports how far their logits are apart. Tokens are a prompt, single steps and several rows after a
 * past, at fixed ids spread over the vocabulary.
 */
import { ModelToolError } from '../errors.ts';
import { compareLogits, type LogitComparison, newComparison } from './compare.ts';
import { appendNewRows } from './held-cache.ts';
import { type Past, pastFrom, toFloat32 } from './lm-session.ts';
import { CAPACITY, type CheckedModel, followPasses, withBoth } from './passes.ts';

/** A head over one row uses another kernel than over several: the last digits differ, in float16 the second one. */
const ONE_ROW_KERNEL_TOLERANCE = 0.05;

/** Errors (all checks): ModelToolError check_failed when the runtime refuses a graph or an output has a wrong shape. */
export async function checkNewRowsOnly(model: CheckedModel): Promise<LogitComparison> {
  return withBoth(model, async (original, rewritten) => {
    const cache = rewritten.emptyPast(CAPACITY);
    return followPasses(original, async (step) => {
      const outputs = await rewritten.run({ ...step, past: cache });
      appendNewRows(cache, outputs, step.numPastTokens);
      return toFloat32(outputs.logits);
    });
  });
}

/** Also that hidden_states has every row of the pass, though the head runs over the last one only where it can. */
export async function checkHiddenStates(model: CheckedModel): Promise<LogitComparison> {
  return withBoth(model, async (original, rewritten) => {
    let past: Past = rewritten.emptyPast();
    return followPasses(original, async (step) => {
      const outputs = await rewritten.run({ ...step, past });
      const few = await rewritten.run({ ...step, past, numLogitsToKeep: 1 });
      for (const { hidden_states: hidden } of [outputs, few]) {
        if (hidden?.dims[1] !== step.tokenIds.length) {
          const message = `hidden_states has ${hidden?.dims[1]} rows for a pass of ${step.tokenIds.length}`;
          throw new ModelToolError('check_failed', message);
        }
      }
      past = pastFrom(outputs);
      return toFloat32(outputs.logits);
    });
  });
}

/** All rows with 0; with 1 and 2 exactly the last ones. */
export async function checkNumLogitsToKeep(model: CheckedModel): Promise<LogitComparison> {
  return withBoth(model, async (original, rewritten) => {
    let past: Past = rewritten.emptyPast();
    return followPasses(original, async (step) => {
      const outputs = await rewritten.run({ ...step, past });
      const logits = toFloat32(outputs.logits);
      const vocabSize = logits.length / step.tokenIds.length;
      for (const numRows of [1, 2]) {
        if (numRows > step.tokenIds.length) continue;
        const kept = toFloat32((await rewritten.run({ ...step, past, numLogitsToKeep: numRows })).logits);
        const tail = newComparison();
        compareLogits(tail, logits.subarray(-numRows * vocabSize), kept, vocabSize);
        if (!(tail.maxDifference < ONE_ROW_KERNEL_TOLERANCE)) {
          const message = `num_logits_to_keep ${numRows} does not give the last rows (off by ${tail.maxDifference})`;
          throw new ModelToolError('check_failed', message);
        }
      }
      past = pastFrom(outputs);
      return logits;
    });
  });
}

/** For changes that touch no arithmetic, such as moving weights between files. */
export async function checkSameFunction(model: CheckedModel): Promise<LogitComparison> {
  return withBoth(model, async (original, rewritten) => {
    let past: Past = rewritten.emptyPast();
    return followPasses(original, async (step) => {
      const outputs = await rewritten.run({ ...step, past });
      past = pastFrom(outputs);
      return toFloat32(outputs.logits);
    });
  });
}
