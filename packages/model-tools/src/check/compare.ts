/** Compares rows of logits: how far apart, whether the same token wins, and by how little where it does not. */

export interface LogitComparison {
  numRows: number;
  maxDifference: number;
  numArgmaxDifferences: number;
  /** Largest lead, in the expected row, of its winner over the other graph's winner; 0 where no winner differs. */
  largestLostMargin: number;
}

export function newComparison(): LogitComparison {
  return { numRows: 0, maxDifference: 0, numArgmaxDifferences: 0, largestLostMargin: 0 };
}

/** Adds [rows, vocabSize] of each to `into`. NaN counts as an infinite difference. */
export function compareLogits(
  into: LogitComparison,
  expected: Float32Array,
  actual: Float32Array,
  vocabSize: number,
): void {
  if (expected.length !== actual.length) {
    into.maxDifference = Number.POSITIVE_INFINITY;
    return;
  }
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(expected[i]! - actual[i]!);
    if (!(difference <= into.maxDifference)) {
      into.maxDifference = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    }
  }
  for (let from = 0; from < expected.length; from += vocabSize) {
    const row = expected.subarray(from, from + vocabSize);
    const winner = argmax(row);
    const other = argmax(actual.subarray(from, from + vocabSize));
    into.numRows++;
    if (winner === other) continue;
    into.numArgmaxDifferences++;
    into.largestLostMargin = Math.max(into.largestLostMargin, row[winner]! - row[other]!);
  }
}

/** The lowest index of the largest value. */
export function argmax(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}
