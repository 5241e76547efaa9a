/**
 * What a pass of this model costs on this machine: measured at start, and corrected by every pass that serves. It takes
 * less than a second for a small model and is bounded for a large one, so nothing is kept from one start to the next: the
 * machine may be another one, or busier.
 */
import { type PassCosts, passMs } from '@forerunner/protocol';
import { probeItem, probeTokenIds } from './probe-item.ts';
import type { ForwardItem, ModelRunner } from './runner.ts';

/** Rows to measure, the ones that matter most first: there may be no time for all of them. */
const MEASURED_ROWS = [1, 2, 5, 8, 16, 32, 3, 4, 6, 12, 24];
const MIN_MEASURED = 3;
/** No further measurement begins after so long. */
const MEASURING_MS = 2000;
const NUM_REPEATS = 4;
/** Cached tokens of the pass that tells what a cached token costs; fewer where the context or the time is short. */
const CACHED_TOKENS = 256;
const FILL_TOKENS = 64;
/** A pass with more rows reads prompts: it says nothing of rows that decode. */
const MAX_ROWS = 32;
/** How much of what a pass was off (of its logarithm) the whole curve takes over, and the parts that made up its cost. */
const WHOLE_CORRECTION = 0.1;
const SHAPE_CORRECTION = 0.01;
/** One pass counts as at most this many times dearer or cheaper than expected. */
const MAX_RATIO = 3;

/** A pass that served. */
interface ServedPass {
  readonly numItems: number;
  readonly numTokens: number;
  readonly numCachedTokens: number;
  readonly durationMs: number;
}

export class PassCostMeter {
  readonly #rows: readonly number[];
  /** Not necessarily in order: each is corrected by itself. */
  readonly #ms: number[];
  #msPerSequence: number;
  #msPer1024CachedTokens: number;

  private constructor({ rows, ms, ms_per_sequence, ms_per_1024_cached_tokens }: PassCosts) {
    this.#rows = rows;
    this.#ms = [...ms];
    this.#msPerSequence = ms_per_sequence;
    this.#msPer1024CachedTokens = ms_per_1024_cached_tokens;
  }

  /** Runs some passes on caches of its own. Errors: whatever the runner throws. */
  static async measure(runner: ModelRunner): Promise<PassCostMeter> {
    const deadlineMs = performance.now() + MEASURING_MS;
    const { contextLength } = runner.signature;
    const byRows = new Map<number, number>();
    for (const numRows of MEASURED_ROWS) {
      if (numRows >= contextLength) continue;
      if (byRows.size >= MIN_MEASURED && performance.now() > deadlineMs) break;
      byRows.set(numRows, await timePass(runner, { numRows, numSequences: 1 }, deadlineMs));
    }
    const points = [...byRows].sort(([a], [b]) => a - b);
    const meter = new PassCostMeter({
      rows: points.map(([numRows]) => numRows),
      ms: points.map(([, ms]) => ms),
      ms_per_sequence: 0,
      ms_per_1024_cached_tokens: 0,
    });
    if (performance.now() < deadlineMs) await meter.#measureSequences(runner, deadlineMs);
    if (performance.now() < deadlineMs) await meter.#measureCachedTokens(runner, deadlineMs);
    return meter;
  }

  get costs(): PassCosts {
    let least = 0;
    return {
      rows: [...this.#rows],
      ms: this.#ms.map((ms) => {
        least = Math.max(least, ms);
        return least;
      }),
      ms_per_sequence: this.#msPerSequence,
      ms_per_1024_cached_tokens: this.#msPer1024CachedTokens,
    };
  }

  /**
   * How busy the machine is changes by the second and for all passes alike; how the costs of passes relate to each other
   * hardly changes. So the whole curve follows fast, its shape slowly.
   */
  observe({ numItems, numTokens, numCachedTokens, durationMs }: ServedPass): void {
    if (numTokens > MAX_ROWS) return;
    const expectedMs = passMs(this.costs, { numRows: numTokens, numSequences: numItems, numCachedTokens });
    const ratio = Math.min(MAX_RATIO, Math.max(1 / MAX_RATIO, durationMs / expectedMs));
    const whole = ratio ** WHOLE_CORRECTION;
    const nearness = this.#nearness(numTokens);
    const cachedShare = (this.#msPer1024CachedTokens * numCachedTokens) / 1024 / expectedMs;
    for (let i = 0; i < this.#ms.length; i++) {
      this.#ms[i]! *= whole * ratio ** (SHAPE_CORRECTION * (1 - cachedShare) * (nearness.get(i) ?? 0));
    }
    this.#msPerSequence *= whole;
    this.#msPer1024CachedTokens *= whole * ratio ** (SHAPE_CORRECTION * cachedShare);
  }

  /** Shares of the measured rows on both sides of a number of rows; they add up to 1. */
  #nearness(numRows: number): Map<number, number> {
    const above = this.#rows.findIndex((rows) => rows >= numRows);
    if (above <= 0) return new Map([[above === 0 ? 0 : this.#rows.length - 1, 1]]);
    const [low, high] = [this.#rows[above - 1]!, this.#rows[above]!];
    const share = (numRows - low) / (high - low);
    return new Map([
      [above - 1, 1 - share],
      [above, share],
    ]);
  }

  async #measureSequences(runner: ModelRunner, deadlineMs: number): Promise<void> {
    const numSequences = Math.min(runner.maxSequences, MAX_ROWS);
    if (numSequences < 2) return;
    const shape = { numRows: numSequences, numSequences, numCachedTokens: 0 };
    const moreMs = (await timePass(runner, shape, deadlineMs)) - passMs(this.costs, shape);
    this.#msPerSequence = Math.max(0, moreMs / (numSequences - 1));
  }

  async #measureCachedTokens(runner: ModelRunner, deadlineMs: number): Promise<void> {
    const wanted = Math.min(CACHED_TOKENS, Math.floor(runner.signature.contextLength / 2));
    const cache = runner.createCache(wanted + 2);
    try {
      let numCachedTokens = 0;
      while (numCachedTokens < wanted && (numCachedTokens === 0 || performance.now() < deadlineMs)) {
        const numTokens = Math.min(FILL_TOKENS, wanted - numCachedTokens);
        cache.ensureCapacity(numCachedTokens + numTokens + 2, numCachedTokens);
        (await runner.forward([probeItem(runner, cache, numCachedTokens, probeTokenIds(runner, numTokens))])).release();
        numCachedTokens += numTokens;
      }
      const item = probeItem(runner, cache, numCachedTokens, probeTokenIds(runner, 2));
      const shape = { numRows: 2, numSequences: 1, numCachedTokens: 0 };
      const moreMs = (await leastMs(runner, [item], deadlineMs)) - passMs(this.costs, shape);
      this.#msPer1024CachedTokens = Math.max(0, (moreMs * 1024) / numCachedTokens);
    } finally {
      cache.release();
    }
  }
}

/** Milliseconds of a pass on empty caches, whose rows are spread evenly over its sequences. */
async function timePass(
  runner: ModelRunner,
  { numRows, numSequences }: { numRows: number; numSequences: number },
  deadlineMs: number,
): Promise<number> {
  const numTokens = numRows / numSequences;
  const caches = Array.from({ length: numSequences }, () => runner.createCache(numTokens + 1));
  try {
    for (const cache of caches) cache.ensureCapacity(numTokens + 1, 0);
    return await leastMs(
      runner,
      caches.map((cache) => probeItem(runner, cache, 0, probeTokenIds(runner, numTokens))),
      deadlineMs,
    );
  } finally {
    for (const cache of caches) cache.release();
  }
}

/** Least of a few, of one when there is no time: whatever else runs while services start makes passes longer, never shorter. */
async function leastMs(runner: ModelRunner, items: readonly ForwardItem[], deadlineMs: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i === 0 || (i < NUM_REPEATS && performance.now() < deadlineMs); i++) {
    const startMs = performance.now();
    (await runner.forward(items)).release();
    least = Math.min(least, performance.now() - startMs);
  }
  return least;
}
