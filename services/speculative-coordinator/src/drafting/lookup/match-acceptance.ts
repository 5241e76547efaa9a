/**
 * How often a text foresees the answer's next token, by how many tokens before it agree. Every token that stands where a
 * text is followed is counted, guessed or not, so the rates are those of this answer even while nothing is guessed from
 * the text. For a one-hot guess that is its acceptance rate: greedy exactly, sampled on average.
 */

/** Shortest match of each class. */
const CLASSES = [2, 3, 4, 6, 10, 18] as const;

/** Rates before anything is known of an answer, per class. `weight` tokens of it count as much. */
export interface PriorRates {
  readonly rates: readonly number[]; // [6]
  readonly weight: number;
}

/** Of the prompt and the answer: measured (docs/decisions/0026-lookup-drafts.md). */
export const LOOKUP_PRIOR: PriorRates = { rates: [0.38, 0.52, 0.66, 0.77, 0.86, 0.95], weight: 6 };

/** Of a text that the client says the answer will be. */
export const PREDICTION_PRIOR: PriorRates = { rates: [0.9, 0.9, 0.9, 0.9, 0.95, 0.95], weight: 4 };

/** A token counts for so much less with each further one of its class: answers change from copying to writing. */
const DECAY = 0.96;

export class MatchAcceptance {
  readonly #prior: PriorRates;
  readonly #foreseen = new Float64Array(CLASSES.length);
  readonly #tokens = new Float64Array(CLASSES.length);

  constructor(prior: PriorRates) {
    this.#prior = prior;
  }

  observe(matchLength: number, wasForeseen: boolean): void {
    const c = classOf(matchLength);
    this.#tokens[c] = DECAY * this.#tokens[c]! + 1;
    this.#foreseen[c] = DECAY * this.#foreseen[c]! + (wasForeseen ? 1 : 0);
  }

  /** Probability that the token after a match of this length is the answer's. */
  rate(matchLength: number): number {
    const c = classOf(matchLength);
    const { rates, weight } = this.#prior;
    return (rates[c]! * weight + this.#foreseen[c]!) / (weight + this.#tokens[c]!);
  }
}

function classOf(matchLength: number): number {
  let c = CLASSES.length - 1;
  while (c > 0 && matchLength < CLASSES[c]!) c--;
  return c;
}
