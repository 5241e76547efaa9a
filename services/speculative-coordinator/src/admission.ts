/** Admission: how many answers run at once, how many wait, and a clear refusal for the rest. Nothing grows without bound. */
import { ServiceError } from '@forerunner/protocol';

interface Waiting {
  readonly admit: () => void;
}

export class Admission {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  readonly #waiting = new Set<Waiting>();
  #numRunning = 0;

  constructor(options: { maxRunning: number; maxWaiting: number }) {
    this.#maxRunning = options.maxRunning;
    this.#maxWaiting = options.maxWaiting;
  }

  get numRunning(): number {
    return this.#numRunning;
  }

  get numWaiting(): number {
    return this.#waiting.size;
  }

  /**
   * Waits for a ticket, in order of arrival, and returns what gives it back (idempotent).
   * Errors: ServiceError overloaded at once when too many wait; the signal's reason when aborted.
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#numRunning < this.#maxRunning) this.#numRunning++;
    else {
      this.requireRoom();
      await this.#wait(signal);
    }
    let returned = false;
    return () => {
      if (returned) return;
      returned = true;
      const next = this.#waiting.values().next().value;
      if (next)
        next.admit(); // the ticket passes on
      else this.#numRunning--;
    };
  }

  /** Refuses before anything was read or computed, so that a flood costs little. Errors: ServiceError overloaded. */
  requireRoom(): void {
    if (this.#numRunning < this.#maxRunning || this.#waiting.size < this.#maxWaiting) return;
    throw new ServiceError(
      'overloaded',
      `${this.#numRunning} requests are running and ${this.#waiting.size} are waiting; try again later`,
    );
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(entry);
        signal.removeEventListener('abort', abort);
      };
      const abort = () => {
        leave();
        reject(signal.reason);
      };
      const entry: Waiting = {
        admit: () => {
          leave();
          resolve();
        },
      };
      this.#waiting.add(entry);
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}
