import { describe, expect, it } from 'vitest';
import { adjustLogits, applyAllowedTokens, argmax, logSumExp, numMaskWords, topLogprobs } from '../src/index.ts';
import { output, randomLogits, sampling } from './support.ts';

const invalidLogits = expect.objectContaining({ code: 'invalid_logits' });

describe('argmax', () => {
  it('finds the highest logit wherever it stands', () => {
    for (let length = 1; length < 12; length++) {
      for (let place = 0; place < length; place++) {
        const row = new Float32Array(length).fill(-3);
        row[place] = 2;
        expect(argmax(row)).toBe(place);
      }
    }
  });

  it('gives ties to the lowest id', () => {
    expect(argmax(Float32Array.of(1, 5, 5, 0, 5, 5))).toBe(1);
    expect(argmax(Float32Array.of(-0, 0))).toBe(0);
  });

  it('looks at one row of several, and counts from its beginning', () => {
    expect(argmax(Float32Array.of(9, 9, 1, 2, 9), 2, 2)).toBe(1);
    expect(argmax(Float32Array.of(9, 1, 2), 1)).toBe(1);
  });

  it('passes over masked tokens', () => {
    expect(argmax(Float32Array.of(-Infinity, -1e30, -Infinity))).toBe(1);
  });

  it('refuses NaN anywhere in the row, infinite logits, and rows without a token', () => {
    for (let place = 0; place < 9; place++) {
      const row = Float32Array.from({ length: 9 }, (_, i) => 9 - i);
      row[place] = Number.NaN;
      expect(() => argmax(row)).toThrow(invalidLogits);
    }
    expect(() => argmax(Float32Array.of(1, Infinity))).toThrow(invalidLogits);
    expect(() => argmax(Float32Array.of(-Infinity, -Infinity))).toThrow(invalidLogits);
    expect(() => argmax(new Float32Array(0))).toThrow(invalidLogits);
  });
});

describe('adjustLogits', () => {
  it('takes presence once and frequency per occurrence, and adds the bias', () => {
    const row = Float32Array.of(1, 1, 1, 1);
    const logitBias = new Map([
      [0, 2],
      [3, -Infinity],
    ]);
    adjustLogits(row, sampling({ presencePenalty: 0.5, frequencyPenalty: 0.25, logitBias }), output([1, 2, 1]));
    expect([...row]).toEqual([3, 0, 0.25, -Infinity]);
  });

  it('passes over ids that the row does not have', () => {
    const row = Float32Array.of(1, 1);
    adjustLogits(row, sampling({ presencePenalty: 1, logitBias: new Map([[9, 1]]) }), output([2, 7]));
    expect([...row]).toEqual([1, 1]);
  });

  it('leaves its scratch as it found it', () => {
    const counts = new Int32Array(3);
    adjustLogits(new Float32Array(3), sampling({ frequencyPenalty: 1 }), output([0, 0, 2]), { counts });
    expect([...counts]).toEqual([0, 0, 0]);
  });
});

describe('applyAllowedTokens', () => {
  it('masks every token whose bit is 0, and leaves the others as they are', () => {
    const row = randomLogits(5, 107);
    const allowed = Int32Array.of(0x5a5a5a50, -1 << 7, 0, 0x5a0 | 1);
    expect(allowed.length).toBe(numMaskWords(row.length));
    const masked = row.slice();
    applyAllowedTokens(masked, allowed);
    const isAllowed = (id: number) => ((allowed[id >> 5]! >>> (id & 31)) & 1) === 1;
    expect(masked).toEqual(row.map((x, id) => (isAllowed(id) ? x : -Infinity)));
    expect([...masked].filter(Number.isFinite).length).toBe(14 + 25 + 5);
  });

  it('changes nothing where every token is allowed', () => {
    const row = randomLogits(5, 70);
    applyAllowedTokens(row, new Int32Array(numMaskWords(70)).fill(-1));
    expect(row).toEqual(randomLogits(5, 70));
  });
});

describe('log probabilities', () => {
  it('agree with the definition, also far from 0', () => {
    expect(logSumExp(Float32Array.of(0, 0, 0, 0))).toBeCloseTo(Math.log(4), 12);
    expect(logSumExp(Float32Array.of(1000, 1000, -1000, -Infinity))).toBeCloseTo(1000 + Math.LN2, 12);
  });

  it('come likeliest first, the lower id among equals', () => {
    const top = topLogprobs(Float32Array.of(0, 2, 1, 2, -Infinity), 3);
    expect(top.map(({ tokenId }) => tokenId)).toEqual([1, 3, 2]);
    const total = 1 + 2 * Math.exp(2) + Math.E;
    expect(top[0]!.logprob).toBeCloseTo(Math.log(Math.exp(2) / total), 12);
  });

  it('of the whole row add up to 1, and masked tokens are left out', () => {
    const row = randomLogits(5, 500, 3);
    row[17] = -Infinity;
    const top = topLogprobs(row, 1000);
    expect(top).toHaveLength(499);
    expect(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 12);
    expect(topLogprobs(row, 0)).toEqual([]);
  });

  it('refuse NaN rows and a negative number of entries', () => {
    expect(() => topLogprobs(Float32Array.of(0, Number.NaN), 1)).toThrow(invalidLogits);
    expect(() => topLogprobs(Float32Array.of(0, 1), -1)).toThrow(expect.objectContaining({ code: 'invalid_argument' }));
  });
});
