/**
 * `min_tokens`: while an answer is shorter, the tokens that would end it never come, in all rows of a pass alike. A
 * proposal ends where that changes, so that each row has the distribution of its own position.
 */
import type { WireSampling } from '@forerunner/protocol';

export class MinTokens {
  readonly #sampling: WireSampling;
  readonly #withoutEnd: WireSampling;
  readonly #minNewTokens: number;

  constructor(sampling: WireSampling, stopTokenIds: readonly number[], minNewTokens = 0) {
    this.#sampling = sampling;
    this.#withoutEnd = { ...sampling, suppress_tokens: [...sampling.suppress_tokens, ...stopTokenIds] };
    this.#minNewTokens = minNewTokens;
  }

  /** For a pass whose first row gives token `numOutputTokens` of the answer, counted from 0. */
  samplingAt(numOutputTokens: number): WireSampling {
    return numOutputTokens < this.#minNewTokens ? this.#withoutEnd : this.#sampling;
  }

  /** The most guesses that a round may have there. */
  maxDraftTokens(numOutputTokens: number): number {
    const numBefore = this.#minNewTokens - numOutputTokens;
    return numBefore > 0 ? numBefore - 1 : Number.POSITIVE_INFINITY;
  }
}
