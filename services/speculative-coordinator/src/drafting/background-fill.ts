/** Caching of a text that no round waits for longer than it likes; one at a time. Knows neither texts nor drafts. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DraftLength } from './draft-length.ts';

/** More new tokens than this are cached in the background; a round does not wait for them. */
export const MAX_INLINE_TOKENS = 64;

/** A call that only caches. */
export const NO_GUESSES: DraftLength = { numSpeculativeTokens: 0, minConfidence: 0 };

export class BackgroundFill {
  #underWay: Promise<unknown> | null = null;

  get isUnderWay(): boolean {
    return this.#underWay !== null;
  }

  start(fill: Promise<unknown>): void {
    this.#underWay = fill
      .catch(() => {}) // only the caller's own abort, which it sees elsewhere, or the end of the answer
      .finally(() => {
        this.#underWay = null;
      });
  }

  /** Until it is over, but no longer than `timeoutMs`: a draft that hangs is not waited for. */
  async wait(timeoutMs: number): Promise<void> {
    if (this.#underWay) await Promise.race([this.#underWay, sleep(timeoutMs)]);
  }
}
