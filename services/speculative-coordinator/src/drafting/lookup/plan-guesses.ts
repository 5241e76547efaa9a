/** How many guesses of a text a round takes, and whether it takes any: pure functions of what is known before it. */

/** A further guess is taken while all up to it hold with at least this probability: what its row costs in tokens. */
const MIN_REACH = 0.25;

export interface GuessPlan {
  readonly numGuesses: number;
  /** Guesses that will be kept, on average. */
  readonly expectedAccepted: number;
}

const NOTHING_TO_GUESS: GuessPlan = { numGuesses: 0, expectedAccepted: 0 };

/** `rateAt` is the probability that the token after a match of some length is the answer's; each one kept adds to the match. */
export function planGuesses(
  matchLength: number,
  rateAt: (matchLength: number) => number,
  maxGuesses: number,
): GuessPlan {
  if (matchLength === 0) return NOTHING_TO_GUESS;
  let reach = 1;
  let expectedAccepted = 0;
  let numGuesses = 0;
  for (; numGuesses < maxGuesses; numGuesses++) {
    reach *= rateAt(matchLength + numGuesses);
    if (reach < MIN_REACH) break;
    expectedAccepted += reach;
  }
  return { numGuesses, expectedAccepted };
}

/** The plan that promises most, the first of equals; null: none promises anything. */
export function choosePlan<Plan extends GuessPlan>(plans: readonly Plan[]): Plan | null {
  let best: Plan | null = null;
  for (const plan of plans) {
    if (plan.numGuesses > 0 && plan.expectedAccepted > (best?.expectedAccepted ?? 0)) best = plan;
  }
  return best;
}
