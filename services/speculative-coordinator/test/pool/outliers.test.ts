/** Who is ejected: by failures and by latency, against the others and never against a number, and never too many. */
import { describe, expect, it } from 'vitest';
import { findOutliers, type ReplicaRecord } from '../../src/pair/pool/outliers.ts';

const costs = (ms: number, per1024 = 0) => ({
  rows: [1, 32],
  ms: [ms, ms],
  ms_per_sequence: 0,
  ms_per_1024_cached_tokens: per1024,
});
const record = (change: Partial<ReplicaRecord> = {}): ReplicaRecord => ({
  numCalls: 64,
  numFailures: 0,
  tripsMs: Array(64).fill(2),
  passCosts: costs(10),
  isOut: false,
  ...change,
});
const slow = (tripMs: number) => record({ tripsMs: Array(64).fill(tripMs) });
const failing = (numFailures: number) => record({ numFailures });

describe('outliers', () => {
  it('are none among equals, nor where one is somewhat worse', () => {
    expect(findOutliers([record(), record(), record()])).toEqual([]);
    expect(findOutliers([record(), slow(20), failing(10)])).toEqual([]);
  });

  it('are those with a slow way there, and those whose own passes are slow', () => {
    expect(findOutliers([record(), slow(60), record()])).toEqual([{ index: 1, reason: 'latency' }]);
    const throttled = record({ passCosts: costs(60) });
    expect(findOutliers([throttled, record(), record()])).toEqual([{ index: 0, reason: 'latency' }]);
  });

  it('are compared by one and the same small pass: what prompts add to passes is no slowness', () => {
    // The same hardware, whose cost curve says what a long text costs; every call of the first has one.
    const reads = record({ passCosts: costs(10, 4) });
    expect(findOutliers([reads, record({ passCosts: costs(10, 4) })])).toEqual([]);
  });

  it('are not those that differ by a few milliseconds, however many times', () => {
    const fast = (tripMs: number) => record({ tripsMs: Array(64).fill(tripMs), passCosts: costs(0.5) });
    expect(findOutliers([fast(0.5), fast(15)])).toEqual([]);
    expect(findOutliers([fast(0.5), fast(25)])).toEqual([{ index: 1, reason: 'latency' }]);
  });

  it('are those that fail often, while the others do not', () => {
    expect(findOutliers([record(), failing(20), record()])).toEqual([{ index: 1, reason: 'failures' }]);
    expect(findOutliers([failing(20), failing(24), failing(20)])).toEqual([]);
  });

  it('are none where little was seen, of themselves or of the others', () => {
    const little = { numCalls: 5, tripsMs: Array(5).fill(500) };
    expect(findOutliers([record(), record(little)])).toEqual([]);
    expect(findOutliers([record(little), slow(500)])).toEqual([]);
    expect(findOutliers([record({ numCalls: 5 }), record({ numCalls: 5, numFailures: 5 })])).toEqual([]);
  });

  it('are never in a pool of one, whatever it does', () => {
    expect(findOutliers([slow(10_000)])).toEqual([]);
    expect(findOutliers([failing(64)])).toEqual([]);
  });

  it('leave at least half of the replicas in, the worst go first, and those that are out count', () => {
    const bad = [slow(100), slow(300), slow(200), failing(60), record(), record(), record()];
    expect(findOutliers(bad)).toEqual([
      { index: 3, reason: 'failures' },
      { index: 1, reason: 'latency' },
      { index: 2, reason: 'latency' },
    ]);
    expect(findOutliers([slow(100), record(), record({ isOut: true })])).toEqual([]);
    expect(findOutliers([slow(100), record(), record(), record({ isOut: true })])).toEqual([
      { index: 0, reason: 'latency' },
    ]);
  });

  it('are measured against those that are in, not against those that are out', () => {
    const out = record({ isOut: true, tripsMs: Array(64).fill(1000) });
    expect(findOutliers([slow(100), record(), record(), out])).toEqual([{ index: 0, reason: 'latency' }]);
  });
});
