/** When to try the draft again although it does not seem to pay: seldom, and less and less often while that stays so. */

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

export class ProbeClock {
  readonly #now: () => number;
  #pauseMs = FIRST_PAUSE_MS;
  #nextMs: number | null = null;

  /** `now`: milliseconds, as performance.now() tells them. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** True once for each pause: the caller may try. */
  take(): boolean {
    const now = this.#now();
    this.#nextMs ??= now + this.#pauseMs;
    if (now < this.#nextMs) return false;
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * this.#pauseMs);
    this.#nextMs = now + this.#pauseMs;
    return true;
  }

  /** The draft pays again. */
  reset(): void {
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#nextMs = null;
  }
}
