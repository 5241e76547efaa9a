/** How long the next proposal may be. The loop asks before every round and tells what came of it. */

export interface DraftLength {
  /** Tokens to guess, at most. */
  readonly numSpeculativeTokens: number;
  /** The proposal ends after a token that the draft gives less probability; 0 never ends one early. */
  readonly minConfidence: number;
}

/** What a policy may learn from a round. */
export interface DraftedRound {
  readonly numDraftTokens: number;
  readonly numAcceptedTokens: number;
  readonly times: { readonly proposeMs: number; readonly scoreMs: number };
}

export interface DraftLengthPolicy {
  next(): DraftLength;
  observe(round: DraftedRound): void;
}

/** The same for every round; a confidence may end a proposal earlier. */
export class FixedDraftLength implements DraftLengthPolicy {
  readonly #length: DraftLength;

  constructor({ numSpeculativeTokens, minConfidence }: DraftLength) {
    this.#length = { numSpeculativeTokens, minConfidence };
  }

  next(): DraftLength {
    return this.#length;
  }

  observe(): void {}
}
