/** How many guesses a text gets: by the length of its match, and by how it did in this answer. */
import { describe, expect, it } from 'vitest';
import { LOOKUP_PRIOR, MatchAcceptance } from '../src/drafting/lookup/match-acceptance.ts';
import { keptChances } from '../src/drafting/lookup/plan-guesses.ts';

describe('the chances of guesses of a text', () => {
  it.each<[string, number, number, number, number[]]>([
    ['a sure text: all that is allowed', 5, 1, 3, [1, 1, 1]],
    ['one in two', 5, 0.5, 3, [0.5, 0.25, 0.125]],
    ['none that hardly ever hold', 5, 0.1, 8, [0.1]],
    ['no room: none', 5, 1, 0, []],
    ['no match: none', 0, 1, 8, []],
  ])('%s', (_what, matchLength, rate, maxGuesses, expected) => {
    const kept = keptChances(matchLength, () => rate, maxGuesses);
    expect(kept).toHaveLength(expected.length);
    for (const [i, chance] of kept.entries()) expect(chance).toBeCloseTo(expected[i]!, 12);
  });

  it('count on a match that grows with each guess that is kept', () => {
    const asked: number[] = [];
    const rateAt = (length: number) => {
      asked.push(length);
      return 1;
    };
    keptChances(3, rateAt, 4);
    expect(asked).toEqual([3, 4, 5, 6]);
  });
});

describe('the rate at which a text foresees', () => {
  it('rises with the match, before anything is known', () => {
    const acceptance = new MatchAcceptance(LOOKUP_PRIOR);
    const rates = [2, 3, 5, 8, 12, 40].map((length) => acceptance.rate(length));
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
    LOOKUP_PRIOR.rates.forEach((rate, i) => {
      expect(rates[i]).toBeCloseTo(rate, 12);
    });
  });

  it('follows the answer, for matches of about that length, and forgets', () => {
    const acceptance = new MatchAcceptance(LOOKUP_PRIOR);
    for (let i = 0; i < 60; i++) acceptance.observe(20, false);
    expect(acceptance.rate(20)).toBeLessThan(0.3);
    expect(acceptance.rate(2)).toBeCloseTo(LOOKUP_PRIOR.rates[0]!, 12);
    for (let i = 0; i < 60; i++) acceptance.observe(20, true);
    expect(acceptance.rate(20)).toBeGreaterThan(0.85);
  });
});
