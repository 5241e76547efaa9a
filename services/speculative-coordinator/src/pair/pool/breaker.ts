/**
 * A circuit breaker: decides when a replica that failed may be asked again. It never makes anybody wait: while it is
 * open another replica is asked, or there is no proposal. After a failure it stays open for a while that doubles with
 * every further one; then one caller at a time may try, and its success closes it for all. (Library breakers queue
 * callers behind the trial, which would stall answers that others could go on with.)
 */
export class Breaker {
  readonly #firstPauseMs: number;
  readonly #longestPauseMs: number;
  readonly #now: () => number;
  #numFailures = 0;
  #openUntilMs = 0;
  #trialUnderWay = false;

  constructor(options: { firstPauseMs: number; longestPauseMs: number; now?: () => number }) {
    this.#firstPauseMs = options.firstPauseMs;
    this.#longestPauseMs = options.longestPauseMs;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Failed last time it was asked. */
  get isDegraded(): boolean {
    return this.#numFailures > 0;
  }

  /** Nobody should ask now: it failed, and its pause is not over, or somebody tries already. */
  get isOpen(): boolean {
    return this.isDegraded && (this.#trialUnderWay || this.#now() < this.#openUntilMs);
  }

  /** May the caller ask now? Whoever gets true must call exactly one of succeed, fail and abandon. */
  tryEnter(): boolean {
    if (this.#numFailures === 0) return true;
    if (this.#trialUnderWay || this.#now() < this.#openUntilMs) return false;
    this.#trialUnderWay = true;
    return true;
  }

  /** There is news of the replica: the next caller may try at once. */
  endPause(): void {
    this.#openUntilMs = 0;
  }

  succeed(): void {
    this.#trialUnderWay = false;
    this.#numFailures = 0;
  }

  fail(): void {
    this.#trialUnderWay = false;
    const now = this.#now();
    // Callers that were under way when the first one failed say nothing new.
    if (now < this.#openUntilMs) return;
    this.#openUntilMs = now + Math.min(this.#firstPauseMs * 2 ** this.#numFailures, this.#longestPauseMs);
    this.#numFailures++;
  }

  /** The attempt ended without telling anything, for example because the client went away. */
  abandon(): void {
    this.#trialUnderWay = false;
  }
}
