/**
 * The tokens whose keys and values a cache holds, and how many of them another text may take over. Those that a feature
 * draft computed from its own estimates, and all behind them, are good for its guesses only.
 */
import { TokenPrefix } from '@forerunner/protocol';

export class CachedTokens extends TokenPrefix {
  #numShareable = 0;

  /** Leading tokens whose keys and values are those that everybody computes for this text. */
  get numShareable(): number {
    return this.#numShareable;
  }

  override append(tokenIds: ArrayLike<number>, isShareable = true): void {
    if (isShareable && this.#numShareable === this.length) this.#numShareable += tokenIds.length;
    super.append(tokenIds);
  }

  override truncate(length: number): void {
    super.truncate(length);
    this.#numShareable = Math.min(this.#numShareable, length);
  }
}
