/** How long the next proposal may be. The loop asks before every round and tells what came of it. */
import type { ProposalOrigin } from './draft-session.ts';
import type { TimedRound } from './length/pair-costs.ts';

export interface DraftLength {
  /** Tokens to guess, at most. */
  readonly numSpeculativeTokens: number;
  /** The proposal ends after a token that the draft gives less probability; 0 never ends one early. */
  readonly minConfidence: number;
}

/** What a policy may learn from a round. Round 0 is the prompt's own pass. */
export interface DraftedRound extends TimedRound {
  readonly index: number;
  /** Who guessed; null: nobody. */
  readonly origin: ProposalOrigin | null;
  /** Guesses that were allowed; 0 where nobody guessed. */
  readonly limit: number;
  readonly numAcceptedTokens: number;
  /** Tokens of the text that this pass did not have to compute. */
  readonly numReusedTokens: number;
  /** Tokens of the text, prompt included, after the round. */
  readonly numTokens: number;
}

/** Tokens per millisecond that a round of one answer is expected to bring, as planned and without any guesses. */
export interface Forecast {
  readonly tokensPerMs: number;
  readonly tokensPerMsWithout: number;
}

/** Of one answer. */
export interface DraftLengthPolicy {
  /** How many guesses its next round may have from this source. */
  next(origin: ProposalOrigin): DraftLength;
  observe(round: DraftedRound): void;
  /** Of the round that `next` was last asked for; null before the first. */
  readonly forecast: Forecast | null;
  /** The answer has ended. */
  close(): void;
}
