/** Whose turn it is with something that one request uses at a time: first come, first served. */
import { aborted, type EngineError } from './errors.ts';

export class Turns {
  readonly #waiting: ((isYours: boolean) => void)[] = [];

  /** Resolves when it is the caller's turn (true), or when there is nothing to wait for any more (false). Errors: EngineError aborted. */
  wait(signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw abortedInTurn();
      const turn = (isYours: boolean) => {
        signal?.removeEventListener('abort', leave);
        resolve(isYours);
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        reject(abortedInTurn());
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(turn);
    });
  }

  /** Gives the turn to the one that waits longest; false: nobody waits. */
  pass(): boolean {
    const next = this.#waiting.shift();
    next?.(true);
    return next !== undefined;
  }

  /** Sends everybody away. */
  end(): void {
    for (const turn of this.#waiting.splice(0)) turn(false);
  }
}

export function abortedInTurn(): EngineError {
  return aborted('the request was aborted while it waited for its sequence');
}
