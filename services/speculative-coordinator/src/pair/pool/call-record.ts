/** The last calls of one replica: how they ended, and how long the way there and back took. Old ones are forgotten. */

/** Calls that are remembered, and for how long. */
const MAX_CALLS = 64;
const MAX_AGE_MS = 30_000;

interface PastCall {
  readonly atMs: number;
  readonly hasFailed: boolean;
  /** null: it cannot be compared. */
  readonly tripMs: number | null;
}

export class CallRecord {
  readonly #now: () => number;
  #calls: PastCall[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** `tripMs` null: it cannot be compared with that of other calls. */
  addAnswer(tripMs: number | null): void {
    this.#add({ atMs: this.#now(), hasFailed: false, tripMs });
  }

  addFailure(): void {
    this.#add({ atMs: this.#now(), hasFailed: true, tripMs: null });
  }

  clear(): void {
    this.#calls = [];
  }

  read(): { numCalls: number; numFailures: number; tripsMs: number[] } {
    const since = this.#now() - MAX_AGE_MS;
    const recent = this.#calls.filter(({ atMs }) => atMs >= since);
    return {
      numCalls: recent.length,
      numFailures: recent.filter(({ hasFailed }) => hasFailed).length,
      tripsMs: recent.flatMap(({ tripMs }) => tripMs ?? []),
    };
  }

  #add(call: PastCall): void {
    if (this.#calls.length === MAX_CALLS) this.#calls.shift();
    this.#calls.push(call);
  }
}
