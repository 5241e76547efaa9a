import { testCard } from '@forerunner/testkit';
import { describe, expect, it } from 'vitest';
import { PairCosts } from '../../src/drafting/length/pair-costs.ts';

const target = testCard('target-service', {
  max_batch_items: 2,
  pass_costs: { rows: [1, 2, 4], ms: [10, 10, 14], ms_per_sequence: 1, ms_per_1024_cached_tokens: 4 },
});
const draft = testCard('draft-service', {
  pass_costs: { rows: [1, 2, 32], ms: [1, 1.2, 7.2], ms_per_sequence: 0, ms_per_1024_cached_tokens: 0 },
});
const replica = { card: target };
const pair = () => new PairCosts(() => draft);
const timing = { queue_ms: 2, model_ms: 10, total_ms: 13 };

describe('what a round costs', () => {
  it('by rows, sequences and cached tokens, as the cards say', () => {
    const { targetMs } = pair().of('greedy', replica, 512);
    const tripMs = targetMs(2, 1) - (10 + 2);
    expect(tripMs).toBeGreaterThan(0);
    expect(targetMs(3, 1)).toBeCloseTo(12 + 2 + tripMs);
    expect(targetMs(2, 2)).toBeCloseTo(10 + 1 + 2 + tripMs);
  });

  it('several passes where there are more sequences than a pass takes', () => {
    const { targetMs } = pair().of('greedy', replica, 0);
    expect(targetMs(4, 4) - targetMs(2, 2)).toBeCloseTo(10 + 1);
  });

  it('the ways and the sampling, as rounds show them, for greedy and sampled answers apart', () => {
    const costs = pair();
    const draftTimes = { callMs: 9, timing: { queue_ms: 1, model_ms: 2, total_ms: 5 } };
    for (let i = 0; i < 200; i++) {
      costs.observe('sampled', { target: { callMs: 15, timing }, draft: draftTimes, numDraftTokens: 2 });
    }
    const { targetMs, draftMs, draftTripMs } = costs.of('sampled', replica, 0);
    expect(targetMs(1, 1)).toBeCloseTo(10 + (15 - 10 - 2), 1);
    expect(draftTripMs).toBeCloseTo(9 - 5, 1);
    expect(draftMs(1, 1)).toBeCloseTo(1 + (5 - 1 - 2) / 2, 1);
    expect(costs.of('greedy', replica, 0).draftTripMs).toBe(1);
  });

  it('the overheads that one has seen make another one alike', () => {
    const seen = pair();
    for (let i = 0; i < 50; i++) {
      const draft = { callMs: 9, timing: { queue_ms: 1, model_ms: 2, total_ms: 5 } };
      seen.observe('greedy', { target: { callMs: 15, timing }, draft, numDraftTokens: 2 });
    }
    const again = new PairCosts(() => draft, seen.overheads);
    expect(seen.overheads.greedy.draft_trip_ms).toBeGreaterThan(2);
    expect(again.overheads).toEqual(seen.overheads);
    expect(again.of('greedy', replica, 0).targetMs(2, 1)).toBe(seen.of('greedy', replica, 0).targetMs(2, 1));
  });

  it('one slow call changes little', () => {
    const costs = pair();
    const observe = (callMs: number) =>
      costs.observe('greedy', { target: { callMs, timing }, draft: null, numDraftTokens: 0 });
    for (let i = 0; i < 10; i++) observe(timing.model_ms + timing.queue_ms + 1);
    const before = costs.of('greedy', replica, 0).targetMs(1, 1);
    observe(5000);
    expect(costs.of('greedy', replica, 0).targetMs(1, 1)).toBeLessThan(before + 1);
  });

  it('a long way to the draft is known after a few calls', () => {
    const costs = pair();
    const draft = { callMs: 25, timing: { queue_ms: 1, model_ms: 2, total_ms: 5 } };
    for (let i = 0; i < 6; i++) costs.observe('greedy', { target: { callMs: 15, timing }, draft, numDraftTokens: 2 });
    expect(costs.of('greedy', replica, 0).draftTripMs).toBeGreaterThan(14);
  });
});
