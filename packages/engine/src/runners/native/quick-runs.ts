/**
 * Which runs are worth a trip to libuv's pool and back. The trip costs about a tenth of a millisecond, a small draft's
 * step four: such runs stay on this thread, but never for long without a turn of its event loop, so that cancellations
 * and other requests arrive.
 */
import type { Pointer } from './ort-api.ts';
import type { RunArguments } from './run-arguments.ts';

/** More rows may take long however quick the last run was. */
const MAX_ROWS = 4;
/** Wall time of the last such run. */
const MAX_RUN_MS = 1;
const MAX_WITHOUT_TURN_MS = 5;

export class QuickRuns {
  #lastRunMs = Number.POSITIVE_INFINITY;
  /** When the first run since the event loop's last turn began. */
  #firstRunAt: number | null = null;

  async run(run: RunArguments, runOptions: Pointer, numRows: number): Promise<void> {
    if (numRows > MAX_ROWS) return run.run(runOptions);
    const started = performance.now();
    if (this.#lastRunMs < MAX_RUN_MS && started - this.#sinceTurn(started) < MAX_WITHOUT_TURN_MS) {
      run.runSync(runOptions);
    } else {
      await run.run(runOptions);
    }
    this.#lastRunMs = performance.now() - started;
  }

  #sinceTurn(now: number): number {
    if (this.#firstRunAt === null) {
      this.#firstRunAt = now;
      setImmediate(() => {
        this.#firstRunAt = null;
      });
    }
    return this.#firstRunAt;
  }
}
