/**
 * How far guesses get, estimated from the rounds of one answer on top of what all answers of its kind have seen. For
 * each position of a proposal three chances: that a guess is made there (the draft may stop early, for want of
 * confidence), that it is made where all before it were kept, and that it is kept then. Old rounds count less and less.
 */

/** What came of one proposal. */
export interface ProposalResult {
  /** Guesses that were allowed. */
  readonly limit: number;
  readonly numMade: number;
  readonly numKept: number;
}

/** Chances by number of guesses: entry i is for guess i + 1. Neither array increases. */
export interface ExpectedProposal {
  /** That so many guesses are kept. */
  readonly kept: readonly number[];
  /** That so many are made. */
  readonly made: readonly number[];
  /** That a second guess is kept, if it is made and the first was kept. */
  readonly nextKept: number;
}

/** A share of successes that forgets; between observations it is whatever it was before. */
class Share {
  #successes = 0;
  #tries = 0;

  add(isSuccess: boolean): void {
    this.#tries++;
    if (isSuccess) this.#successes++;
  }

  forget(share: number): void {
    this.#tries *= share;
    this.#successes *= share;
  }

  /** As if `weight` tries with a success rate of `prior` had gone before. */
  estimate(prior: number, weight: number): number {
    return (this.#successes + weight * prior) / (this.#tries + weight);
  }
}

/** Positions told apart; later ones are taken to be like the last. */
const MAX_POSITIONS = 8;
export type Chance = 'made' | 'madeAfterKept' | 'kept';

class Chances {
  readonly #shares: Record<Chance, Share[]>;

  constructor() {
    const shares = () => Array.from({ length: MAX_POSITIONS }, () => new Share());
    this.#shares = { made: shares(), madeAfterKept: shares(), kept: shares() };
  }

  add({ limit, numMade, numKept }: ProposalResult): void {
    for (let i = 0; i < Math.min(limit, MAX_POSITIONS); i++) {
      if (numMade >= i) this.#shares.made[i]!.add(numMade > i);
      if (numKept >= i) this.#shares.madeAfterKept[i]!.add(numMade > i);
      if (numKept >= i && numMade > i) this.#shares.kept[i]!.add(numKept > i);
    }
  }

  forget(share: number): void {
    for (const shares of Object.values(this.#shares)) for (const one of shares) one.forget(share);
  }

  estimate(chance: Chance, position: number, prior: number, weight: number): number {
    return this.#shares[chance][Math.min(position, MAX_POSITIONS - 1)]!.estimate(prior, weight);
  }
}

/** Chances of the first and of the second guess as long as nothing is known. */
export type InitialChances = Record<'first' | 'second', Record<Chance, number>>;

/** What all answers of a kind have seen: where a new one begins. */
export class AcceptancePrior {
  readonly #chances = new Chances();
  readonly #initial: InitialChances;
  /** Chances by position as they are since the last result; every answer's every plan asks for them. */
  #known: Record<Chance, number[]> = noChances();
  #numResults = 0;

  constructor(initial: InitialChances) {
    this.#initial = initial;
  }

  /** Enough has been seen to go by. */
  get isKnown(): boolean {
    return this.#numResults >= 16;
  }

  add(result: ProposalResult): void {
    this.#numResults++;
    this.#known = noChances();
    this.#chances.forget(0.998);
    this.#chances.add(result);
  }

  /** From the third guess on, a position that was never tried is like the one before it. */
  chance(chance: Chance, position: number): number {
    const known = this.#known[chance];
    for (let i = known.length; i <= position; i++) {
      const before = i > 1 ? known[i - 1]! : this.#initial[i === 0 ? 'first' : 'second'][chance];
      known.push(this.#chances.estimate(chance, i, before, 8));
    }
    return known[position]!;
  }
}

const noChances = (): Record<Chance, number[]> => ({ made: [], madeAfterKept: [], kept: [] });

export class AcceptanceEstimate {
  readonly #chances = new Chances();
  readonly #prior: AcceptancePrior;

  constructor(prior: AcceptancePrior) {
    this.#prior = prior;
  }

  add(result: ProposalResult): void {
    this.#chances.forget(0.95);
    this.#chances.add(result);
    this.#prior.add(result);
  }

  /** A round without guesses: what was seen of them is older now. */
  age(): void {
    this.#chances.forget(0.95);
  }

  expected(maxGuesses: number): ExpectedProposal {
    const kept: number[] = [];
    const made: number[] = [];
    let [allKept, allMade] = [1, 1];
    for (let i = 0; i < maxGuesses; i++) {
      allKept *= this.#chance('madeAfterKept', i) * this.#chance('kept', i);
      allMade *= this.#chance('made', i);
      kept.push(Math.min(allKept, allMade));
      made.push(allMade);
    }
    return { kept, made, nextKept: this.#chance('kept', 1) };
  }

  #chance(chance: Chance, position: number): number {
    return this.#chances.estimate(chance, position, this.#prior.chance(chance, position), 4);
  }
}
