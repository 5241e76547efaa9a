import { describe, expect, it } from 'vitest';
import { drawFrom, oneHotDistribution, probOf, residualDistribution, type TokenDistribution } from '../src/index.ts';

const dense = (...probs: number[]): TokenDistribution => ({ tokenIds: null, probs: Float32Array.from(probs) });
const sparse = (entries: Record<number, number>): TokenDistribution => ({
  tokenIds: Int32Array.from(Object.keys(entries).map(Number)),
  probs: Float32Array.from(Object.values(entries)),
});
const invalidDistribution = expect.objectContaining({ code: 'invalid_distribution' });

describe('drawFrom', () => {
  it('gives each token the stretch of u that is its probability', () => {
    const distribution = dense(0.25, 0, 0.5, 0.25);
    const draws = [Number.MIN_VALUE, 0.25, 0.2500001, 0.75, 0.7500001, 1].map((u) => drawFrom(distribution, u));
    expect(draws).toEqual([0, 0, 2, 2, 3, 3]);
  });

  it('normalises, and names the ids of a sparse distribution', () => {
    const distribution = sparse({ 7: 2, 11: 6 });
    expect([0.1, 0.25, 0.26, 1].map((u) => drawFrom(distribution, u))).toEqual([7, 7, 11, 11]);
  });

  it('never draws a token of probability 0, at either end', () => {
    const distribution = dense(0, 0, 0.1, 0.7, 0.2, 0, 0);
    for (const u of [Number.MIN_VALUE, 2 ** -53, 0.5, 1 - 2 ** -53, 1]) {
      expect([2, 3, 4]).toContain(drawFrom(distribution, u));
    }
    expect(drawFrom(distribution, 1)).toBe(4);
  });

  it('refuses distributions without mass, with negative and with NaN entries', () => {
    for (const distribution of [dense(), dense(0, 0), dense(1, -0.1), dense(1, Number.NaN), dense(1, Infinity)]) {
      expect(() => drawFrom(distribution, 0.5)).toThrow(invalidDistribution);
    }
  });
});

describe('probOf', () => {
  it('normalises and is 0 outside the support', () => {
    expect(probOf(dense(1, 3), 1)).toBe(0.75);
    expect(probOf(dense(1, 3), 2)).toBe(0);
    const distribution = sparse({ 2: 1, 5: 2, 9: 1 });
    expect([1, 2, 5, 6, 9, 10].map((id) => probOf(distribution, id))).toEqual([0, 0.25, 0.5, 0, 0.25, 0]);
    expect(probOf(oneHotDistribution(4), 4)).toBe(1);
  });
});

describe('residualDistribution', () => {
  const expected = [0.25, 0, 0.125, 0];
  const ps = { dense: dense(0.5, 0.25, 0.25, 0), sparse: sparse({ 0: 2, 1: 1, 2: 1 }) };
  const qs = { dense: dense(0.5, 0.75, 0.25, 0.5), sparse: sparse({ 0: 2, 1: 3, 2: 1, 3: 2 }) };
  for (const [pKind, p] of Object.entries(ps)) {
    for (const [qKind, q] of Object.entries(qs)) {
      it(`is max(p - q, 0) for a ${pKind} p and a ${qKind} q`, () => {
        const residual = residualDistribution(p, q)!;
        const mass = (id: number) => {
          const at = residual.tokenIds ? residual.tokenIds.indexOf(id) : id;
          return residual.probs[at] ?? 0;
        };
        expect([0, 1, 2, 3].map(mass)).toEqual(expected);
      });
    }
  }

  it('takes the whole of p where the supports are apart, or q is shorter', () => {
    expect([...residualDistribution(sparse({ 1: 1, 5: 3 }), sparse({ 0: 1, 3: 1, 9: 1 }))!.probs]).toEqual([
      0.25, 0.75,
    ]);
    expect([...residualDistribution(dense(0.5, 0.5), dense(1))!.probs]).toEqual([0, 0.5]);
  });

  it('is absent where p and q are equal up to rounding', () => {
    expect(residualDistribution(dense(0.3, 0.7), dense(0.3, 0.7))).toBeNull();
    expect(residualDistribution(dense(1, 2, 3), sparse({ 0: 3, 1: 6, 2: 9 }))).toBeNull();
  });
});
