/** When a replica that failed is asked again. */
import { describe, expect, it } from 'vitest';
import { Breaker } from '../../src/pair/pool/breaker.ts';

describe('the breaker', () => {
  function breakerAt() {
    const clock = { now: 0 };
    return { clock, breaker: new Breaker({ firstPauseMs: 100, longestPauseMs: 1000, now: () => clock.now }) };
  }

  it('lets one caller at a time try after a pause, and everybody after its success', () => {
    const { clock, breaker } = breakerAt();
    expect(breaker.tryEnter()).toBe(true);
    breaker.fail();
    expect(breaker.tryEnter()).toBe(false);
    clock.now = 101;
    expect([breaker.tryEnter(), breaker.tryEnter()]).toEqual([true, false]);
    breaker.succeed();
    expect([breaker.tryEnter(), breaker.tryEnter()]).toEqual([true, true]);
  });

  it('doubles its pause up to a limit, once per failure and not once per caller', () => {
    const { clock, breaker } = breakerAt();
    const pauses: number[] = [];
    for (let i = 0; i < 6; i++) {
      breaker.fail();
      breaker.fail(); // a second caller that was under way
      const start = clock.now;
      while (!breaker.tryEnter()) clock.now += 1;
      pauses.push(clock.now - start);
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1000, 1000]);
  });

  it('ends its pause at news of the replica', () => {
    const { breaker } = breakerAt();
    breaker.fail();
    breaker.endPause();
    expect([breaker.tryEnter(), breaker.tryEnter()]).toEqual([true, false]);
  });

  it('lets the next one try when a trial tells nothing', () => {
    const { clock, breaker } = breakerAt();
    breaker.fail();
    clock.now = 101;
    breaker.tryEnter();
    breaker.abandon();
    expect(breaker.tryEnter()).toBe(true);
  });
});
