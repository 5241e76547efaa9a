/**
 * Which runs are worth a trip to libuv's pool and back. The trip costs about a tenth of a millisecond, a small draft's
 * step four: such runs stay on this thread, which is a model's worker, but never for long without a turn of its event
 * loop, so that cancellations and other requests arrive.
 */
import type { IoBinding } from './io-binding.ts';
import type { Pointer } from './ort-api.ts';

/** More rows may take long however quick the last run was. */
const MAX_ROWS = 4;
/** Wall time of the last such run. */
const MAX_RUN_MS = 1;
const MAX_WITHOUT_TURN_MS = 5;

export class QuickRuns {
  #lastRunMs = Number.POSITIVE_INFINITY;
  #lastTurn = Number.NEGATIVE_INFINITY;

  async run(binding: IoBinding, runOptions: Pointer, numRows: number): Promise<void> {
    if (numRows > MAX_ROWS) return binding.run(runOptions);
    const started = performance.now();
    if (this.#lastRunMs < MAX_RUN_MS && started - this.#lastTurn < MAX_WITHOUT_TURN_MS) {
      binding.runSync(runOptions);
      this.#lastRunMs = performance.now() - started;
    } else {
      await binding.run(runOptions);
      this.#lastTurn = performance.now();
      this.#lastRunMs = this.#lastTurn - started;
    }
  }
}
