import { describe, expect, it } from 'vitest';
import { RoundTimes } from '../../src/drafting/length/round-times.ts';

describe('what rounds take against what was planned', () => {
  it('is the mean of the last rounds, by mode, as if 20 had gone as planned before', () => {
    const times = new RoundTimes(() => 0);
    expect([times.stretch('drafting'), times.stretch('alone')]).toEqual([1, 1]);
    for (let i = 0; i < 50; i++) times.add('drafting', { measuredMs: i % 2 ? 14 : 10, plannedMs: 10 });
    expect(times.stretch('drafting')).toBeCloseTo((20 * 1 + 50 * 1.2) / 70, 10);
    expect(times.stretch('alone')).toBe(1);
    for (let i = 0; i < 2000; i++) times.add('drafting', { measuredMs: 20, plannedMs: 10 });
    expect(times.stretch('drafting')).toBeCloseTo(2, 3);
  });

  it('one slow round changes little', () => {
    const times = new RoundTimes(() => 0);
    for (let i = 0; i < 200; i++) times.add('alone', { measuredMs: 10, plannedMs: 10 });
    times.add('alone', { measuredMs: 60_000, plannedMs: 10 });
    expect(times.stretch('alone')).toBeLessThan(1.02);
  });
});

describe('the way that is not in use', () => {
  /** Modes by the millisecond, rounds of 10 ms. */
  function modes(preferred: 'drafting' | 'alone', planned: number, untilMs: number) {
    let nowMs = 0;
    const times = new RoundTimes(() => nowMs);
    const seen: string[] = [];
    for (; nowMs < untilMs; nowMs += 10) seen.push(times.mode(preferred, { planned, roundMs: 10 }));
    return seen;
  }

  it.each([
    ['drafting', 'alone'],
    ['alone', 'drafting'],
  ] as const)(
    '%s preferred: %s is tried for five rounds, after a second and then ever more seldom',
    (preferred, other) => {
      const seen = modes(preferred, 1.1, 8000);
      const starts = seen.flatMap((mode, i) => (mode === other && seen[i - 1] !== other ? [i * 10] : []));
      expect(starts).toEqual([1000, 3000, 7000]);
      expect(seen.filter((mode) => mode === other)).toHaveLength(15);
    },
  );

  it('is not tried where drafting gains far more than any measured error', () => {
    expect(new Set(modes('drafting', 1.5, 8000))).toEqual(new Set(['drafting']));
  });

  it('is tried all the same where only what was measured says so', () => {
    let nowMs = 0;
    const times = new RoundTimes(() => nowMs);
    for (let i = 0; i < 200; i++) times.add('alone', { measuredMs: 15, plannedMs: 10 });
    expect(times.gain(1.1)).toBeGreaterThan(1.5);
    times.mode('drafting', { planned: 1.1, roundMs: 10 });
    nowMs = 1500;
    expect(times.mode('drafting', { planned: 1.1, roundMs: 10 })).toBe('alone');
  });
});
