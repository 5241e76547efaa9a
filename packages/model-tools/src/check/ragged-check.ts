/**
 * The check of raggedAttention. Its graph is another function than the original's in the last digits, and models with
 * 8-bit activations magnify those; so the report also says how far the original is from itself when only the number of
 * rows per pass changes, and the rewrite is held to that.
 */
import { compareLogits, type LogitComparison, newComparison } from './compare.ts';
import { type LmSession, type Past, pastFrom, toFloat32 } from './lm-session.ts';
import { CAPACITY, type CheckedModel, type Follow, followPasses, tokenAt, withBoth } from './passes.ts';

export interface RaggedReport {
  /** The rewritten graph, one sequence at a time, against the original. */
  readonly againstOriginal: LogitComparison;
  /** The original in passes of one row against itself in longer ones: what a change of kernels does to this model. */
  readonly originalByRows: LogitComparison;
  /** Three sequences of different lengths in one pass against each alone, both on the rewritten graph. */
  readonly batchAgainstAlone: LogitComparison;
}

/** Reports; what difference is tolerable is for the caller to say (see isTolerable). */
export async function checkRaggedAttention(model: CheckedModel): Promise<RaggedReport> {
  return withBoth(model, async (original, rewritten) => {
    return {
      againstOriginal: await followPasses(original, follower(rewritten, rewritten.emptyPast(CAPACITY))),
      originalByRows: await followPasses(original, byRows(original)),
      batchAgainstAlone: await compareBatchWithAlone(rewritten),
    };
  });
}

/** No winner changes and logits move little, or no more than the original moves by itself when rows are split. */
export function isTolerable({ againstOriginal, originalByRows, batchAgainstAlone }: RaggedReport): boolean {
  const small = againstOriginal.numArgmaxDifferences === 0 && againstOriginal.maxDifference < 0.05;
  const likeItself = againstOriginal.maxDifference <= 2 * originalByRows.maxDifference;
  return (
    (small || likeItself) && batchAgainstAlone.numArgmaxDifferences === 0 && batchAgainstAlone.maxDifference < 0.05
  );
}

function follower(session: LmSession, firstPast: Past): Follow {
  let past = firstPast;
  return async (step) => {
    const outputs = await session.run({ ...step, past });
    past = pastFrom(outputs);
    return toFloat32(outputs.logits);
  };
}

function byRows(session: LmSession): Follow {
  const follow = follower(session, session.emptyPast());
  return async ({ tokenIds, numPastTokens }) => {
    const rows: Float32Array[] = [];
    for (let row = 0; row < tokenIds.length; row++) {
      rows.push(await follow({ tokenIds: [tokenIds[row]!], numPastTokens: numPastTokens + row }));
    }
    const logits = new Float32Array(rows.length * (rows[0]?.length ?? 0));
    for (const [row, values] of rows.entries()) logits.set(values, row * values.length);
    return logits;
  };
}

/** Prompts of 7, 12 and 3 tokens, then 2, 4 and 5 rows, in one batch and alone. */
async function compareBatchWithAlone(session: LmSession): Promise<LogitComparison> {
  const comparison = newComparison();
  const passes = [
    [7, 12, 3],
    [2, 4, 5],
  ];
  const alone = passes[0]!.map(() => session.emptyPast(CAPACITY) as Past);
  let together: Past = session.emptyPast(CAPACITY, alone.length);
  const numPast = alone.map(() => 0);
  for (const lengths of passes) {
    const steps = lengths.map((length, b) => ({
      tokenIds: Array.from({ length }, (_, row) => tokenAt(numPast[b]! + row, b)),
      numPastTokens: numPast[b]!,
    }));
    const batch = await session.runRagged(steps, together);
    together = pastFrom(batch);
    const [, numRows = 0, vocabSize = 0] = batch.logits?.dims ?? [];
    for (const [b, step] of steps.entries()) {
      const single = await session.run({ ...step, past: alone[b]! });
      alone[b] = pastFrom(single);
      numPast[b]! += step.tokenIds.length;
      const from = b * numRows * vocabSize;
      const rows = toFloat32(batch.logits).subarray(from, from + step.tokenIds.length * vocabSize);
      compareLogits(comparison, toFloat32(single.logits), rows, vocabSize);
    }
  }
  return comparison;
}
