/** The passes over a prompt whose own log probabilities are wanted. */
import { logSumExp } from '@forerunner/sampling';
import { describe, expect, it } from 'vitest';
import { promptLogprobs } from '../src/generation/prompt-logprobs.ts';
import type { ScoreCall, TargetSequence } from '../src/pair/target-sequence.ts';

const vocabSize = 7;
/** A row that depends on all of the text before it. */
const rowAfter = (text: ArrayLike<number>) => {
  const sum = Array.from(text).reduce((total, id, i) => (total * 31 + id + i) % 1009, 7);
  return Float32Array.from({ length: vocabSize }, (_, id) => ((sum * (id + 3)) % 17) / 3);
};

function recordingTarget() {
  const calls: { length: number; numRows: number }[] = [];
  const score = async ({ committed, numRows }: ScoreCall) => {
    calls.push({ length: committed.length, numRows });
    const logits = new Float32Array(numRows * vocabSize);
    for (let row = 0; row < numRows; row++) {
      logits.set(rowAfter(committed.ids(0, committed.length - numRows + row + 1)), row * vocabSize);
    }
    return { logits, vocab_size: vocabSize };
  };
  return { calls, target: { score } as unknown as TargetSequence };
}

describe('the log probabilities of a prompt', () => {
  const tokenIds = Int32Array.from({ length: 40 }, (_, i) => (i * i + 1) % vocabSize);

  it.each([1, 3, 39, 40, 1000])('are those of each token after the text before it, %i rows at a time', async (rows) => {
    const { target, calls } = recordingTarget();
    const maxRowBytes = rows * 4 * vocabSize;
    const logprobs = await promptLogprobs(target, { tokenIds, numTop: 2, vocabSize, maxRowBytes });
    expect(logprobs).toHaveLength(40);
    expect(logprobs[0]).toBe(null);
    for (let i = 1; i < 40; i++) {
      const row = rowAfter(tokenIds.subarray(0, i));
      expect(logprobs[i]!.logprob).toBeCloseTo(row[tokenIds[i]!]! - logSumExp(row), 5);
      expect(logprobs[i]!.top[0]!.logprob).toBeCloseTo(Math.max(...row) - logSumExp(row), 5);
    }
    expect(Math.max(...calls.map(({ numRows }) => numRows))).toBeLessThanOrEqual(rows);
    expect(calls.reduce((total, { numRows }) => total + numRows, 0)).toBe(39); // nothing from a cached prefix
    expect(calls.at(-1)!.length).toBe(39);
  });
});
