import { describe, expect, it } from 'vitest';
import { expNegative } from '../src/exp.ts';
import { DistributionBuilder, type SamplingParams } from '../src/index.ts';
import { naiveDistribution, randomLogits, sampling } from './support.ts';

const FILTERS: Partial<SamplingParams>[] = [
  {},
  { temperature: 0.3 },
  { temperature: 2.5 },
  { topK: 1 },
  { topK: 20 },
  { topK: 40 },
  { topK: 700 },
  { topK: 5000 },
  { topP: 0.9 },
  { topP: 0.01 },
  { topP: 0.9999 },
  { minP: 0.05 },
  { minP: 1 },
  { topK: 50, topP: 0.8, temperature: 0.7 },
  { topK: 900, topP: 0.95, minP: 0.1, temperature: 1.2 },
];

/** Rows of several shapes, some with many equal logits, some with masked tokens. */
function rowsOf(seed: number): [string, Float32Array][] {
  const smooth = randomLogits(seed, 1500, 2);
  const peaked = smooth.map((x, i) => (i % 500 === 7 ? x + 10 : x));
  const masked = smooth.map((x, i) => (i % 3 === 0 ? -Infinity : x));
  return [
    ['smooth', smooth],
    ['peaked', peaked],
    ['tied', smooth.map((x) => Math.round(x))],
    ['equal', new Float32Array(1500)],
    ['masked', masked],
    ['nearly all masked', masked.map((x, i) => (i % 100 === 1 ? x : -Infinity))],
    ['small', smooth.slice(0, 5)],
    ['single', smooth.slice(0, 1)],
  ];
}

describe('DistributionBuilder', () => {
  it.each(FILTERS)('agrees with sorting the whole row: %j', (overrides) => {
    const params = sampling(overrides);
    for (const seed of [1, 2, 3]) {
      for (const [shape, row] of rowsOf(seed)) {
        const distribution = new DistributionBuilder(row.length).distribution(row, params);
        const expected = naiveDistribution(row, params);
        const ids = distribution.tokenIds ?? distribution.probs.keys().toArray();
        const actual = new Map(
          Array.from(ids, (id, i) => [id, distribution.probs[i]!] as const).filter(([, p]) => p > 0),
        );
        expect([...actual.keys()], shape).toEqual([...expected.keys()]);
        for (const [id, p] of expected) expect(Math.abs(actual.get(id)! / p - 1), shape).toBeLessThan(1e-6);
      }
    }
  });

  it('is dense when nothing is filtered, and lists an ascending support otherwise', () => {
    const row = randomLogits(1, 100);
    const builder = new DistributionBuilder(100);
    expect(builder.distribution(row, sampling()).tokenIds).toBeNull();
    expect(builder.distribution(row, sampling({ topK: 100 })).tokenIds).toBeNull();
    const { tokenIds } = builder.distribution(row, sampling({ topK: 99 }));
    expect(tokenIds).toEqual(tokenIds!.toSorted());
    expect(tokenIds).toHaveLength(99);
  });

  it('keeps the lowest ids where a filter cuts through equal logits', () => {
    const builder = new DistributionBuilder(6);
    const row = Float32Array.of(0, 1, 1, 1, 1, 0);
    expect([...builder.distribution(row, sampling({ topK: 2 })).tokenIds!]).toEqual([1, 2]);
    expect([...builder.distribution(new Float32Array(6), sampling({ topP: 0.5 })).tokenIds!]).toEqual([0, 1, 2]);
  });

  it('is one-hot on the lowest argmax at temperature 0, after bias and penalties', () => {
    const builder = new DistributionBuilder(3);
    const row = Float32Array.of(1, 2, 2);
    expect(builder.distribution(row, sampling({ temperature: 0 }))).toEqual({
      tokenIds: Int32Array.of(1),
      probs: Float32Array.of(1),
    });
    const penalised = sampling({ temperature: 0, presencePenalty: 1.5 });
    expect([...builder.distribution(row, penalised, [1, 2]).tokenIds!]).toEqual([0]);
    const biased = sampling({ temperature: 0, logitBias: new Map([[0, 5]]) });
    expect([...builder.distribution(row, biased).tokenIds!]).toEqual([0]);
    expect([...row]).toEqual([1, 2, 2]);
  });

  it('tends to the argmax as the temperature falls, without overflow', () => {
    const { tokenIds, probs } = new DistributionBuilder(3).distribution(
      Float32Array.of(-80, 80, 79),
      sampling({ temperature: 1e-320 }),
    );
    expect(tokenIds).toBeNull();
    expect([...probs]).toEqual([0, 1, 0]);
  });

  it('forgets the row before: equal input gives equal bits whatever was computed in between', () => {
    const builder = new DistributionBuilder(300);
    const row = randomLogits(1, 300);
    const params = sampling({ topK: 30, topP: 0.9, frequencyPenalty: 0.5 });
    const first = builder.distribution(row, params, [4, 4, 9]);
    for (const overrides of FILTERS) builder.distribution(randomLogits(2, 300), sampling(overrides), [1]);
    expect(builder.distribution(row, params, [4, 4, 9])).toEqual(first);
  });

  it('never gives a masked token a place, whatever the filter', () => {
    const row = Float32Array.of(-Infinity, 0, -Infinity, 0);
    for (const overrides of [{ topK: 3 }, { topP: 0.999 }, { minP: 1e-9 }]) {
      expect([...new DistributionBuilder(4).distribution(row, sampling(overrides)).tokenIds!]).toEqual([1, 3]);
    }
    expect([...new DistributionBuilder(4).distribution(row, sampling()).probs]).toEqual([0, 0.5, 0, 0.5]);
  });

  it.each(FILTERS)('masks all but the allowed tokens before everything else: %j', (overrides) => {
    const params = sampling({ ...overrides, presencePenalty: 0.5, logitBias: new Map([[3, 20]]) });
    const row = randomLogits(5, 75);
    const allowed = Int32Array.of(0x5a5a5a50, -1 << 7, 0x7ff0);
    const masked = row.map((x, id) => ((allowed[id >> 5]! >>> (id & 31)) & 1 ? x : -Infinity));
    const builder = new DistributionBuilder(75);
    expect(builder.distribution(row, params, [9, 40], allowed)).toEqual(builder.distribution(masked, params, [9, 40]));
    expect(row).toEqual(randomLogits(5, 75));
    expect(builder.distribution(row, params, [9, 40])).not.toEqual(builder.distribution(masked, params, [9, 40]));
  });

  it('refuses a mask of another length, and one that allows nothing', () => {
    const builder = new DistributionBuilder(75);
    const row = randomLogits(5, 75);
    const code = (allowed: Int32Array) => {
      try {
        return builder.distribution(row, sampling(), [], allowed);
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(code(Int32Array.of(1, 1))).toBe('invalid_argument');
    expect(code(new Int32Array(3))).toBe('invalid_logits');
  });

  it.each(FILTERS)('refuses rows with NaN or without a token: %j', (overrides) => {
    const params = sampling(overrides);
    const row = randomLogits(1, 50);
    row[49] = Number.NaN;
    const invalid = expect.objectContaining({ code: 'invalid_logits' });
    expect(() => new DistributionBuilder(50).distribution(row, params)).toThrow(invalid);
    expect(() => new DistributionBuilder(50).distribution(new Float32Array(50).fill(-Infinity), params)).toThrow(
      invalid,
    );
  });

  it('refuses a row of another length', () => {
    expect(() => new DistributionBuilder(4).distribution(new Float32Array(5), sampling())).toThrow(
      expect.objectContaining({ code: 'invalid_argument' }),
    );
  });
});

describe('DistributionBuilder over a reduced vocabulary', () => {
  const draftToTarget = Int32Array.of(2, 3, 5, 90);
  const builder = new DistributionBuilder(4, draftToTarget);
  const row = Float32Array.of(1, 4, 2, 3);

  it('names target ids, filtered or not', () => {
    expect([...builder.distribution(row, sampling()).tokenIds!]).toEqual([2, 3, 5, 90]);
    expect([...builder.distribution(row, sampling({ topK: 2 })).tokenIds!]).toEqual([3, 90]);
    expect([...builder.distribution(row, sampling({ temperature: 0 })).tokenIds!]).toEqual([3]);
  });

  it('takes bias and penalties by target id, and passes over ids that it lacks', () => {
    const params = sampling({
      temperature: 0,
      presencePenalty: 2,
      logitBias: new Map([
        [5, 1.5],
        [4, 50],
      ]),
    });
    expect([...builder.distribution(row, params, [3, 4, 1000]).tokenIds!]).toEqual([5]);
  });

  it('refuses a map that is not ascending or not one id per logit', () => {
    const invalid = expect.objectContaining({ code: 'invalid_argument' });
    expect(() => new DistributionBuilder(2, Int32Array.of(3, 3))).toThrow(invalid);
    expect(() => new DistributionBuilder(2, Int32Array.of(-1, 3))).toThrow(invalid);
    expect(() => new DistributionBuilder(3, Int32Array.of(1, 2))).toThrow(invalid);
  });
});

describe('expNegative', () => {
  it('is exact at 0 and within 2e-14 of Math.exp down to where float32 ends', () => {
    expect(expNegative(0)).toBe(1);
    for (let x = 0; x > -104; x -= 0.00317) {
      expect(Math.abs(expNegative(x) / Math.exp(x) - 1)).toBeLessThan(2e-14);
    }
    expect(expNegative(-104.1)).toBe(0);
    expect(expNegative(-Infinity)).toBe(0);
  });
});
