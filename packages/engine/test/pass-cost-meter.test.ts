import { passMs } from '@forerunner/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PassCostMeter } from '../src/pass-cost-meter.ts';
import type { ForwardItem } from '../src/runner.ts';
import { ToyRunner } from './toy-runner.ts';

/** A runner whose passes take, on a clock of their own, what `msOf` says. */
class TimedRunner extends ToyRunner {
  readonly #msOf: (numRows: number, numSequences: number, numCached: number) => number;

  constructor(msOf: TimedRunner['msOf'], contextLength = 2048) {
    super(contextLength);
    this.#msOf = msOf;
  }

  get msOf() {
    return this.#msOf;
  }

  override forward(items: readonly ForwardItem[], signal?: AbortSignal) {
    const sum = (of: (item: ForwardItem) => number) => items.reduce((total, item) => total + of(item), 0);
    clockMs += this.#msOf(
      sum(({ tokenIds }) => tokenIds.length),
      items.length,
      sum(({ numPastTokens }) => numPastTokens),
    );
    return super.forward(items, signal);
  }
}

let clockMs = 0;
beforeEach(() => {
  clockMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => clockMs);
});
afterEach(() => void vi.restoreAllMocks());

const msOf = (numRows: number, numSequences: number, numCached: number) =>
  5 + numRows + 0.5 * (numSequences - 1) + (8 * numCached) / 1024;
const one = { numSequences: 1, numCachedTokens: 0 };

describe('at start', () => {
  it('passes are measured by rows, sequences and cached tokens', async () => {
    const runner = new TimedRunner(msOf);
    const { costs } = await PassCostMeter.measure(runner);
    for (const numRows of [1, 2, 3, 7, 20, 32]) {
      expect(passMs(costs, { ...one, numRows })).toBeCloseTo(msOf(numRows, 1, 0), 9);
    }
    expect(costs.ms_per_sequence).toBeCloseTo(0.5, 9);
    expect(costs.ms_per_1024_cached_tokens).toBeCloseTo(8, 9);
    expect(runner.bytesInUse).toBe(0);
    expect(runner.numUnreleased).toBe(0);
  });

  it('a model whose passes take seconds is measured at the rows that matter most', async () => {
    const { costs } = await PassCostMeter.measure(new TimedRunner((numRows) => 1000 * numRows));
    expect(costs.rows).toEqual([1, 2, 5]);
    expect(clockMs).toBeLessThan(15_000);
  });

  it('a context of a few tokens is enough', async () => {
    const { costs } = await PassCostMeter.measure(new TimedRunner(msOf, 8));
    expect(Math.max(...costs.rows)).toBeLessThan(8);
  });
});

describe('while it serves', () => {
  const served = (numTokens: number, durationMs: number) => ({
    numItems: 1,
    numTokens,
    numCachedTokens: 0,
    durationMs,
  });

  it('the curve follows a machine that is busier than it was', async () => {
    const meter = await PassCostMeter.measure(new TimedRunner(msOf));
    for (let i = 0; i < 100; i++) meter.observe(served(2, 3 * msOf(2, 1, 0)));
    for (const numRows of [2, 8, 32]) {
      expect(passMs(meter.costs, { ...one, numRows }) / msOf(numRows, 1, 0)).toBeGreaterThan(2.2);
    }
  });

  it('its shape follows what passes of each width really take', async () => {
    const meter = await PassCostMeter.measure(new TimedRunner(msOf));
    const truth = (numRows: number) => 5 + 3 * numRows;
    for (let i = 0; i < 2000; i++) for (const rows of [1, 2, 5, 8]) meter.observe(served(rows, truth(rows)));
    for (const rows of [1, 2, 5, 8])
      expect(passMs(meter.costs, { ...one, numRows: rows }) / truth(rows)).toBeCloseTo(1, 1);
  });

  it('one pass that was held up changes little, one that reads a prompt nothing', async () => {
    const meter = await PassCostMeter.measure(new TimedRunner(msOf));
    const before = meter.costs;
    meter.observe(served(128, 9000));
    expect(meter.costs).toEqual(before);
    meter.observe(served(2, 9000));
    expect(passMs(meter.costs, { ...one, numRows: 2 })).toBeLessThan(1.2 * msOf(2, 1, 0));
  });

  it('more rows never cost less', async () => {
    const meter = await PassCostMeter.measure(new TimedRunner(msOf));
    for (let i = 0; i < 500; i++) meter.observe(served(2, 60));
    const { ms } = meter.costs;
    expect(ms).toEqual([...ms].sort((a, b) => a - b));
  });
});
