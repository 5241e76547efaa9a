/** What a proposal of the draft has been worth in this answer: tokens kept per proposal, on average. */

/** Before anything is known; counts as much as `PRIOR_ROUNDS` proposals. */
const PRIOR_ACCEPTED = 0.8;
const PRIOR_ROUNDS = 4;
const DECAY = 0.95;

export class DraftYield {
  #accepted = 0;
  #rounds = 0;

  observe(numAcceptedTokens: number): void {
    this.#accepted = DECAY * this.#accepted + numAcceptedTokens;
    this.#rounds = DECAY * this.#rounds + 1;
  }

  /** Of a proposal of up to `numSpeculativeTokens`. */
  expected(numSpeculativeTokens: number): number {
    const mean = (PRIOR_ACCEPTED * PRIOR_ROUNDS + this.#accepted) / (PRIOR_ROUNDS + this.#rounds);
    return Math.min(mean, numSpeculativeTokens);
  }
}
