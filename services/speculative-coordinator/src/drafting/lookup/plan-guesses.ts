/** What guesses of a text are worth: a pure function of what is known before them. */

/** Guesses that are less likely than this to be kept are not worth looking at. */
const MIN_CHANCE = 0.02;

/**
 * Chances that 1, 2, ... guesses after a match are kept, at most `maxGuesses`; none where nothing matches. `rateAt` is the
 * probability that the token after a match of some length is the answer's; each one kept adds to the match.
 */
export function keptChances(
  matchLength: number,
  rateAt: (matchLength: number) => number,
  maxGuesses: number,
): number[] {
  const kept: number[] = [];
  if (matchLength === 0) return kept;
  let chance = 1;
  for (let i = 0; i < maxGuesses; i++) {
    chance *= rateAt(matchLength + i);
    if (chance < MIN_CHANCE) break;
    kept.push(chance);
  }
  return kept;
}
