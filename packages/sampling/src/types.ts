/**
 * The words of this package. Pure mathematics: it knows nothing of services, models or text.
 *
 * A *draft token* is what the draft proposed; it is *accepted* when the verification rule keeps it. The token that
 * follows the accepted ones is *recovered* (drawn from the residual distribution after a refusal) or the *bonus* token (drawn
 * from the target's distribution after every draft token was accepted).
 */

/**
 * A probability distribution over token ids, after temperature and every filter.
 * `tokenIds` is ascending and lists the support; null means dense: entry i of `probs` belongs to token id i.
 * `probs` need not add up to exactly 1: readers normalise in float64, and that normalised distribution is the distribution.
 */
export interface TokenDistribution {
  readonly tokenIds: Int32Array | null; // [support], ascending
  readonly probs: Float32Array; // [support] or [vocabSize]
}

/** How logits become a distribution. Temperature 0 is greedy: a one-hot distribution on the argmax, the lowest id wins ties. */
export interface SamplingParams {
  /** > 0 scales logits by 1/temperature; 0 is greedy. */
  readonly temperature: number;
  /** Keep the k likeliest tokens; 0 keeps all. Ties at the border keep the lowest ids. */
  readonly topK: number;
  /** Keep the smallest set of likeliest tokens whose mass reaches topP, in (0, 1]; 1 keeps all. */
  readonly topP: number;
  /** Keep tokens at least minP times as likely as the likeliest; 0 keeps all. */
  readonly minP: number;
  /**
   * Divides the logit of every token that already stands in the text, prompt included, where it is positive, and
   * multiplies it where it is negative (CTRL, Keskar et al. 2019, as in transformers); > 0, 1 changes nothing.
   */
  readonly repetitionPenalty: number;
  /** Subtracted once from the logit of every token that already stands in the output (OpenAI's definition). */
  readonly presencePenalty: number;
  /** Subtracted from a token's logit per occurrence in the output (OpenAI's definition). */
  readonly frequencyPenalty: number;
  /** Added to the logits of the named tokens. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Never chosen. */
  readonly suppressTokens: readonly number[];
}

/** The text before a token, as penalties see it: the prompt, then the output from `outputStart` on. */
export interface TextSoFar {
  readonly tokenIds: ArrayLike<number>;
  readonly outputStart: number;
}

export type VerificationOutcome =
  | { readonly numAcceptedTokens: number; readonly recoveredTokenId: number; readonly bonusTokenId?: undefined }
  | { readonly numAcceptedTokens: number; readonly bonusTokenId: number; readonly recoveredTokenId?: undefined };
