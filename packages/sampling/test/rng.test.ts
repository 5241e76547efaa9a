import { describe, expect, it } from 'vitest';
import { CounterRng, deriveSeed, STREAM } from '../src/index.ts';
import { philox4x32 } from '../src/philox.ts';

describe('philox4x32', () => {
  // The known answers that Random123, the authors' library, is tested with: counter, key, output.
  const knownAnswers = [
    '00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8',
    'ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd',
    '243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1',
  ];

  it.each(knownAnswers)('gives the published answer: %s', (line) => {
    const words = line.split(' ').map((word) => Number.parseInt(word, 16));
    const block = Uint32Array.from(words.slice(0, 4));
    philox4x32(block, words[4]!, words[5]!);
    expect([...block]).toEqual(words.slice(6));
  });
});

describe('CounterRng', () => {
  it('gives the same number for the same address, in any order', () => {
    const rng = new CounterRng(7);
    const first = rng.uniform(STREAM.acceptance, 12);
    rng.uniform(STREAM.draftDraw, 3);
    expect(rng.uniform(STREAM.acceptance, 12)).toBe(first);
    expect(new CounterRng(7n).uniform(STREAM.acceptance, 12)).toBe(first);
  });

  it('gives another number when seed, stream, position or index differ', () => {
    const numbers = [
      new CounterRng(1).uniform(0, 5),
      new CounterRng(2).uniform(0, 5),
      new CounterRng(1 + 2 ** 32).uniform(0, 5),
      new CounterRng(1).uniform(1, 5),
      new CounterRng(1).uniform(0, 6),
      ...[1, 2, 3].map((index) => new CounterRng(1).uniform(0, 5, index)),
    ];
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it('stays above 0 and at most 1, with the mean and variance of a uniform distribution', () => {
    const rng = new CounterRng(Number.MAX_SAFE_INTEGER);
    const n = 100_000;
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < n; i++) {
      const u = rng.uniform(STREAM.draftDraw, i >> 1, i & 1);
      if (!(u > 0 && u <= 1)) throw new Error(`${u} is outside (0, 1]`);
      sum += u;
      squares += u * u;
    }
    expect(sum / n).toBeCloseTo(1 / 2, 2);
    expect(squares / n).toBeCloseTo(1 / 3, 2);
  });

  it('does not correlate streams at equal positions', () => {
    const rng = new CounterRng(3);
    const n = 50_000;
    for (const [a, b] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      let product = 0;
      for (let i = 0; i < n; i++) product += (rng.uniform(a, i) - 0.5) * (rng.uniform(b, i) - 0.5);
      expect(Math.abs((12 * product) / n)).toBeLessThan(5 / Math.sqrt(n));
    }
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53])('refuses the seed %s', (seed) => {
    expect(() => new CounterRng(seed)).toThrow(expect.objectContaining({ code: 'invalid_argument' }));
  });
});

describe('deriveSeed', () => {
  it('gives a seed that the wire can carry, the same one each time', () => {
    const seed = deriveSeed(42, 'choice/1');
    expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true);
    expect(deriveSeed(42n, 'choice/1')).toBe(seed);
  });

  it('separates labels and seeds', () => {
    const seeds = [0, 1, 2 ** 53 - 1].flatMap((seed) =>
      ['', 'draft', 'choice/0', 'choice/1'].map((label) => deriveSeed(seed, label)),
    );
    expect(new Set(seeds).size).toBe(seeds.length);
  });
});
