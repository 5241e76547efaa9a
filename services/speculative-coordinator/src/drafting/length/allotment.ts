/**
 * How many guesses each of the answers that share passes should get, so that all of them together get the most tokens
 * per millisecond. Guesses are ranked by their chance to be kept and taken while the rate of the whole grows: a pure
 * function of chances and costs (goodput as in SmartSpec, Liu et al. 2024, arXiv:2406.14066; ranked over all requests
 * as vLLM does).
 */
import type { ExpectedProposal } from './acceptance.ts';

/** One answer's next round. */
export interface Candidate {
  readonly expected: ExpectedProposal;
  /** Its guesses take passes of the draft; a text that is at hand costs rows of the target only. */
  readonly usesDraft: boolean;
  /** Guesses it gets whatever they cost: its request named a number. */
  readonly fixedLength?: number;
}

/** Milliseconds, for the answers at hand. */
export interface RoundCosts {
  /** A pass of the target over so many rows, and the way there and back. */
  targetMs(numRows: number, numSequences: number): number;
  /** One pass of the draft, which makes a guess for each of so many sequences; `index` 0 is the proposal's first. */
  draftMs(numSequences: number, index: number): number;
  /** The way to the draft and back, once a round. */
  readonly draftTripMs: number;
  /** What the draft needs to read a token that it has not seen, in passes of many. */
  readonly draftReadMs: number;
}

export interface Allotment {
  readonly lengths: readonly number[]; // [candidates]
  /** Of all answers together. */
  readonly tokensPerMs: number;
  readonly roundMs: number;
  /** The same with no guesses at all, but those of requests that named a number. */
  readonly without: { readonly tokensPerMs: number; readonly roundMs: number };
  /** A round in which nobody guesses. */
  readonly aloneMs: number;
  /** What one guess more would cost at the end, target and draft. */
  readonly nextGuessMs: number;
}

/** Guesses that are less likely than this to be kept are not worth looking at. */
const MIN_CHANCE = 0.02;

export function allotDraftTokens(candidates: readonly Candidate[], costs: RoundCosts): Allotment {
  const plan = new Plan(candidates, costs);
  let best = plan.snapshot();
  const without = best;
  for (let next = plan.likeliest(); next !== null; next = plan.likeliest()) {
    plan.add(next);
    const { tokensPerMs } = plan;
    if (tokensPerMs > best.tokensPerMs) best = plan.snapshot();
  }
  return { ...best, without, aloneMs: costs.targetMs(candidates.length, candidates.length) };
}

class Plan {
  readonly #candidates: readonly Candidate[];
  readonly #costs: RoundCosts;
  readonly #lengths: number[];
  #numRows: number;
  #numTokens: number;
  /** Sequences that are expected to take part in each pass of the draft. */
  readonly #draftPasses: number[] = [];

  constructor(candidates: readonly Candidate[], costs: RoundCosts) {
    this.#candidates = candidates;
    this.#costs = costs;
    this.#lengths = candidates.map(() => 0);
    this.#numRows = candidates.length;
    this.#numTokens = candidates.length;
    candidates.forEach(({ fixedLength = 0 }, index) => {
      for (let i = 0; i < fixedLength; i++) this.add(index);
    });
  }

  get tokensPerMs(): number {
    return this.#numTokens / this.#roundMs();
  }

  snapshot() {
    return {
      lengths: [...this.#lengths],
      tokensPerMs: this.tokensPerMs,
      roundMs: this.#roundMs(),
      nextGuessMs: this.#nextGuessMs(),
    };
  }

  /** One guess more for a candidate. */
  add(index: number): void {
    const { expected, usesDraft } = this.#candidates[index]!;
    const at = this.#lengths[index]!++;
    const made = expected.made[at] ?? 0;
    this.#numRows += made;
    this.#numTokens += expected.kept[at] ?? 0;
    if (usesDraft) this.#draftPasses[at] = (this.#draftPasses[at] ?? 0) + made;
  }

  /** Whose next guess is most likely kept if it is made; null: nobody has another one. */
  likeliest(): number | null {
    let [best, bestChance]: [number | null, number] = [null, 0];
    this.#candidates.forEach(({ expected, fixedLength }, index) => {
      const at = this.#lengths[index]!;
      const kept = expected.kept[at] ?? 0;
      if (fixedLength !== undefined || kept < MIN_CHANCE) return;
      const chance = kept / expected.made[at]!;
      if (chance > bestChance) [best, bestChance] = [index, chance];
    });
    return best;
  }

  #roundMs(): number {
    const { targetMs, draftMs, draftTripMs } = this.#costs;
    const drafting = this.#draftPasses.reduce((sum, numSequences, i) => sum + draftMs(numSequences, i), 0);
    const trip = drafting > 0 ? draftTripMs : 0;
    return targetMs(this.#numRows, this.#candidates.length) + trip + drafting;
  }

  #nextGuessMs(): number {
    const { targetMs, draftMs } = this.#costs;
    const numSequences = this.#candidates.length;
    return targetMs(this.#numRows + 1, numSequences) - targetMs(this.#numRows, numSequences) + draftMs(1, 1);
  }
}
