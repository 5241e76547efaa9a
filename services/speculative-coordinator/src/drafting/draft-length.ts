/** How long the next proposal may be. The loop asks before every round and tells what came of it. */
import type { ProposalOrigin } from './draft-session.ts';
import type { TimedRound } from './length/pair-costs.ts';

export interface DraftLength {
  /** Tokens to guess, at most. */
  readonly numSpeculativeTokens: number;
  /** The proposal ends after a token that the draft gives less probability; 0 never ends one early. */
  readonly minConfidence: number;
}

/** Tokens per millisecond that a round of one answer is expected to bring, with its guesses and without any. */
export interface Forecast {
  readonly tokensPerMs: number;
  readonly tokensPerMsWithout: number;
}

export interface PlannedLength extends DraftLength {
  readonly forecast: Forecast;
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
  /** From the asking for guesses to the tokens. */
  readonly roundMs: number;
}

/** How many guesses the rounds of one answer may have, from whoever makes them. */
export interface DraftLengthPolicy {
  ofDraft(): PlannedLength;
  /** `kept`: chances that 1, 2, ... guesses of a text are kept; there may be as many. */
  ofText(kept: readonly number[]): PlannedLength;
  observe(round: DraftedRound): void;
  /** The answer has ended. */
  close(): void;
}

/**
 * What a policy allows in one round, and no more than can be emitted: a round emits its guesses and one token more.
 * Keeps what was allowed, for whoever reads the round.
 */
export class RoundLengths {
  readonly #policy: DraftLengthPolicy;
  readonly #maxGuesses: number;
  readonly #allowed = new Map<ProposalOrigin, PlannedLength>();

  constructor(policy: DraftLengthPolicy, maxGuesses: number) {
    this.#policy = policy;
    this.#maxGuesses = Math.max(0, maxGuesses);
  }

  ofDraft(): PlannedLength {
    const known = this.#allowed.get('draft');
    if (known) return known;
    const length = this.#policy.ofDraft();
    const numSpeculativeTokens = Math.min(length.numSpeculativeTokens, this.#maxGuesses);
    return this.#keep('draft', { ...length, numSpeculativeTokens });
  }

  /** As DraftLengthPolicy.ofText. */
  ofText(origin: Exclude<ProposalOrigin, 'draft'>, kept: readonly number[]): PlannedLength {
    return this.#keep(origin, this.#policy.ofText(kept.slice(0, this.#maxGuesses)));
  }

  /** What was allowed to whoever guessed in the end, and no guesses where nobody did (null); null: nobody had asked. */
  of(origin: ProposalOrigin | null): PlannedLength | null {
    if (origin !== null) return this.#allowed.get(origin) ?? null;
    const [any] = this.#allowed.values();
    if (!any) return null;
    const { tokensPerMsWithout } = any.forecast;
    const forecast = { tokensPerMs: tokensPerMsWithout, tokensPerMsWithout };
    return { numSpeculativeTokens: 0, minConfidence: 0, forecast };
  }

  #keep(origin: ProposalOrigin, length: PlannedLength): PlannedLength {
    this.#allowed.set(origin, length);
    return length;
  }
}
