import { expect, it } from 'vitest';
import { ProbeClock } from '../../src/drafting/length/probe-clock.ts';

it('allows a trial after a second, then after ever longer pauses up to a minute, and begins again when the draft pays', () => {
  let nowMs = 0;
  const clock = new ProbeClock(() => nowMs);
  const trials: number[] = [];
  for (; nowMs < 200_000; nowMs += 500) if (clock.take()) trials.push(nowMs / 1000);
  expect(trials).toEqual([1, 3, 7, 15, 31, 63, 123, 183]);
  clock.reset();
  expect(clock.take()).toBe(false);
  nowMs += 1000;
  expect(clock.take()).toBe(true);
});
