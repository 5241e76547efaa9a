import { expect, it } from 'vitest';
import { passMs } from '../src/pass-costs.ts';

const costs = { rows: [2, 4, 8], ms: [10, 12, 20], ms_per_sequence: 0.5, ms_per_1024_cached_tokens: 4 };
const shape = { numRows: 4, numSequences: 1, numCachedTokens: 0 };

it.each([
  ['fewer rows than measured cost what the fewest do', { ...shape, numRows: 1 }, 10],
  ['measured rows', shape, 12],
  ['rows between', { ...shape, numRows: 5 }, 14],
  ['rows beyond go on as the last two do', { ...shape, numRows: 10 }, 24],
  ['further sequences', { ...shape, numSequences: 3 }, 13],
  ['cached tokens', { ...shape, numCachedTokens: 2048 }, 20],
])('%s', (_what, pass, ms) => {
  expect(passMs(costs, pass)).toBeCloseTo(ms, 12);
});

it('one measurement is all there is', () => {
  expect(passMs({ ...costs, rows: [2], ms: [10] }, { ...shape, numRows: 9 })).toBe(10);
});
