import { describe, expect, it } from 'vitest';
import { AcceptanceEstimate, AcceptancePrior } from '../../src/drafting/length/acceptance.ts';

const initial = {
  first: { made: 1, madeAfterKept: 1, kept: 0.5 },
  second: { made: 1, madeAfterKept: 1, kept: 0.5 },
};
const fresh = () => new AcceptanceEstimate(new AcceptancePrior(initial));

describe('what is expected of a proposal', () => {
  it('is the initial chances as long as nothing was seen', () => {
    const { kept, made, nextKept } = fresh().expected(3);
    expect(kept).toEqual([0.5, 0.25, 0.125]);
    expect(made).toEqual([1, 1, 1]);
    expect(nextKept).toBe(0.5);
  });

  it('follows what happens, position by position', () => {
    const estimate = fresh();
    // The first is kept, the second never.
    for (let i = 0; i < 200; i++) estimate.add({ limit: 2, numMade: 2, numKept: 1 });
    const { kept } = estimate.expected(2);
    expect(kept[0]).toBeGreaterThan(0.95);
    expect(kept[1]).toBeLessThan(0.05);
  });

  it('a draft that stopped early was not refused: few guesses are made, those are kept', () => {
    const estimate = fresh();
    for (let i = 0; i < 400; i++)
      estimate.add({ limit: 4, numMade: i % 4 === 0 ? 4 : 1, numKept: i % 4 === 0 ? 4 : 1 });
    const { kept, made } = estimate.expected(4);
    expect(kept[0]).toBeGreaterThan(0.95);
    expect(made[1]).toBeCloseTo(0.25, 1);
    expect(kept[3]! / made[3]!).toBeGreaterThan(0.9);
  });

  it('never grows with the position', () => {
    const estimate = fresh();
    for (let i = 0; i < 50; i++) estimate.add({ limit: 1 + (i % 5), numMade: 1 + (i % 3), numKept: i % 2 });
    const { kept, made } = estimate.expected(12);
    for (const chances of [kept, made]) expect(chances).toEqual([...chances].sort((a, b) => b - a));
    for (const [i, chance] of kept.entries()) expect(chance).toBeLessThanOrEqual(made[i]!);
  });

  it('is forgotten without guesses, down to what other answers see', () => {
    const prior = new AcceptancePrior(initial);
    const other = new AcceptanceEstimate(prior);
    for (let i = 0; i < 100; i++) other.add({ limit: 1, numMade: 1, numKept: 1 });
    const estimate = new AcceptanceEstimate(prior);
    for (let i = 0; i < 10; i++) estimate.add({ limit: 1, numMade: 1, numKept: 0 });
    const before = estimate.expected(1).kept[0]!;
    for (let i = 0; i < 100; i++) estimate.age();
    expect(before).toBeLessThan(0.4);
    expect(estimate.expected(1).kept[0]).toBeGreaterThan(0.8);
  });
});

it('an answer begins where others of its kind are', () => {
  const prior = new AcceptancePrior(initial);
  const first = new AcceptanceEstimate(prior);
  expect(prior.isKnown).toBe(false);
  for (let i = 0; i < 200; i++) first.add({ limit: 1, numMade: 1, numKept: 0 });
  expect(prior.isKnown).toBe(true);
  expect(new AcceptanceEstimate(prior).expected(1).kept[0]).toBeLessThan(0.1);
});
