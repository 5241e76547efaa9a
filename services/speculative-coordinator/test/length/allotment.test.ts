import { describe, expect, it } from 'vitest';
import { allotDraftTokens, type Candidate, type RoundCosts } from '../../src/drafting/length/allotment.ts';

/** A steady draft whose guesses are each kept with the same chance. */
const steady = (chance: number, maxGuesses = 6, change: Partial<Candidate> = {}): Candidate => ({
  expected: {
    kept: Array.from({ length: maxGuesses }, (_, i) => chance ** (i + 1)),
    made: Array(maxGuesses).fill(1),
    nextKept: chance,
  },
  usesDraft: true,
  ...change,
});

/** Rows beyond those of the sequences cost `rowMs`, a pass of the draft 1 ms. */
const costs = (rowMs: number): RoundCosts => ({
  targetMs: (numRows, numSequences) => 10 + rowMs * (numRows - numSequences),
  draftMs: () => 1,
  draftTripMs: 1,
  draftReadMs: 0.1,
});

/** Tokens per millisecond, spelled out. */
function rateOf(candidates: readonly Candidate[], { targetMs, draftMs, draftTripMs }: RoundCosts, lengths: number[]) {
  const n = candidates.length;
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const tokens = n + sum(candidates.map(({ expected }, i) => sum(expected.kept.slice(0, lengths[i]))));
  const rows = n + sum(candidates.map(({ expected }, i) => sum(expected.made.slice(0, lengths[i]))));
  const longest = Math.max(...lengths.map((length, i) => (candidates[i]!.usesDraft ? length : 0)));
  let draft = longest > 0 ? draftTripMs : 0;
  for (let i = 0; i < longest; i++) draft += draftMs(lengths.filter((length) => length > i).length, i);
  return tokens / (targetMs(rows, n) + draft);
}

describe('how many guesses each answer gets', () => {
  it.each([
    [0.9, 0.1, 6],
    [0.9, 12, 0],
    [0.2, 0.1, 0],
    [0.7, 1, 3],
  ])('one answer, guesses kept with %f, a row for %f ms: %i', (chance, rowMs, length) => {
    expect(allotDraftTokens([steady(chance)], costs(rowMs)).lengths).toEqual([length]);
  });

  it('is the best of all ways to share them', () => {
    for (const rowMs of [0.3, 0.8, 1.5, 3]) {
      const candidates = [steady(0.85, 3), steady(0.5, 3), steady(0.3, 3)];
      const { tokensPerMs, lengths } = allotDraftTokens(candidates, costs(rowMs));
      const all = [0, 1, 2, 3].flatMap((a) => [0, 1, 2, 3].flatMap((b) => [0, 1, 2, 3].map((c) => [a, b, c])));
      const best = Math.max(...all.map((one) => rateOf(candidates, costs(rowMs), one)));
      expect(tokensPerMs).toBeCloseTo(rateOf(candidates, costs(rowMs), [...lengths]), 12);
      expect(tokensPerMs).toBeGreaterThan(0.98 * best);
    }
  });

  it('a text at hand is worth guesses where a draft is not', () => {
    const chance = 0.25;
    expect(allotDraftTokens([steady(chance)], costs(1)).lengths).toEqual([0]);
    expect(allotDraftTokens([steady(chance, 6, { usesDraft: false })], costs(1)).lengths).toEqual([1]);
  });

  it('a request that named a number gets it, and is load for the others', () => {
    const fixed = steady(0.1, 6, { fixedLength: 6 });
    const alone = allotDraftTokens([steady(0.6)], costs(0.5));
    const beside = allotDraftTokens([steady(0.6), fixed], costs(0.5));
    expect(alone.lengths[0]).toBeGreaterThan(0);
    expect(beside.lengths[1]).toBe(6);
    expect(beside.without.roundMs).toBeGreaterThan(beside.aloneMs);
  });

  it('tells what a round takes with and without guesses, and what one more would cost', () => {
    const { lengths, roundMs, without, aloneMs, nextGuessMs } = allotDraftTokens([steady(0.7)], costs(1));
    expect(lengths).toEqual([3]);
    expect(roundMs).toBe(10 + 3 + 3 + 1);
    expect([without.roundMs, aloneMs]).toEqual([10, 10]);
    expect(nextGuessMs).toBe(2);
  });
});
