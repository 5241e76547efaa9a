/** How many guesses a text gets: by the length of its match, and by how it did in this answer. */
import { describe, expect, it } from 'vitest';
import { DraftYield } from '../src/drafting/lookup/draft-yield.ts';
import { LOOKUP_PRIOR, MatchAcceptance } from '../src/drafting/lookup/match-acceptance.ts';
import { choosePlan, planGuesses } from '../src/drafting/lookup/plan-guesses.ts';

describe('a plan of guesses', () => {
  it.each([
    ['a sure text gets all that is allowed', 5, 1, 8, 8, 8],
    ['one in two: two, of which three quarters are kept', 5, 0.5, 8, 2, 0.75],
    ['one in four: one', 5, 0.25, 8, 1, 0.25],
    ['less than that: none', 5, 0.24, 8, 0, 0],
    ['no room: none', 5, 1, 0, 0, 0],
    ['no match: none', 0, 1, 8, 0, 0],
  ])('%s', (_what, matchLength, rate, maxGuesses, numGuesses, expectedAccepted) => {
    const plan = planGuesses(matchLength, () => rate, maxGuesses);
    expect(plan.numGuesses).toBe(numGuesses);
    expect(plan.expectedAccepted).toBeCloseTo(expectedAccepted, 12);
  });

  it('counts on a match that grows with each guess that is kept', () => {
    const asked: number[] = [];
    planGuesses(
      3,
      (length) => {
        asked.push(length);
        return 1;
      },
      4,
    );
    expect(asked).toEqual([3, 4, 5, 6]);
  });

  it('is chosen by what it promises, the first of equals', () => {
    const plan = (name: string, expectedAccepted: number) => ({ name, numGuesses: 1, expectedAccepted });
    expect(choosePlan([plan('a', 0.5), plan('b', 0.9), plan('c', 0.9)])?.name).toBe('b');
    expect(choosePlan([{ numGuesses: 0, expectedAccepted: 0 }])).toBeNull();
    expect(choosePlan([])).toBeNull();
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

describe('the yield of the draft', () => {
  it('is no more than was guessed, and follows the answer', () => {
    const draft = new DraftYield();
    const before = draft.expected(4);
    expect(before).toBeGreaterThan(0.5);
    for (let i = 0; i < 50; i++) draft.observe(3);
    expect(draft.expected(4)).toBeGreaterThan(2.5);
    expect(draft.expected(1)).toBe(1);
    for (let i = 0; i < 50; i++) draft.observe(0);
    expect(draft.expected(4)).toBeLessThan(0.5);
  });
});
