/**
 * What rounds take, against what the cost curves say: with guesses of the draft and without any, for the answers that
 * share the passes of one replica. The curves know of each pass by itself; that answers wait for each other, and that
 * draft and target may sit on the same cores, only the clock tells. Whichever of the two ways is not in use is tried
 * for a few rounds now and then, by all answers together.
 */
import { ProbeClock } from './probe-clock.ts';

/** With guesses of the draft, or the target alone. */
export type Mode = 'drafting' | 'alone';

/** Rounds of a trial; the first of them is still shared with those who have not heard of it. */
const TRIAL_ROUNDS = 5;
/** Drafting that gains so much, planned and measured, is not put to the test. */
const UNQUESTIONED_GAIN = 1.3;
/** As if so many rounds had gone as planned before: a few slow ones are no finding. */
const PRIOR_ROUNDS = 20;
/** Rounds that the mean looks back on, once there were as many. */
const MEMORY_ROUNDS = 200;
/** One round counts at most so much, and at least its inverse: somebody else's prompt may have shared its pass. */
const MAX_STRETCH = 3;

/** Measured time to planned time: a mean over the last rounds. */
class Stretch {
  #numRounds = PRIOR_ROUNDS;
  #value = 1;

  get value(): number {
    return this.#value;
  }

  add(stretch: number): void {
    this.#numRounds = Math.min(MEMORY_ROUNDS, this.#numRounds + 1);
    const bounded = Math.min(MAX_STRETCH, Math.max(1 / MAX_STRETCH, stretch));
    this.#value += (bounded - this.#value) / this.#numRounds;
  }
}

export class RoundTimes {
  readonly #now: () => number;
  readonly #trials: ProbeClock;
  readonly #stretches: Record<Mode, Stretch> = { drafting: new Stretch(), alone: new Stretch() };
  #trial: { readonly mode: Mode; readonly endsMs: number } | null = null;

  /** `now`: milliseconds, as performance.now() tells them. */
  constructor(now: () => number) {
    this.#now = now;
    this.#trials = new ProbeClock(now);
  }

  /** By how much rounds take longer than planned. */
  stretch(mode: Mode): number {
    return this.#stretches[mode].value;
  }

  /** A round of one answer, all of whose neighbours were in the same mode. */
  add(mode: Mode, { measuredMs, plannedMs }: { measuredMs: number; plannedMs: number }): void {
    if (plannedMs > 0) this.#stretches[mode].add(measuredMs / plannedMs);
  }

  /** How often the tokens of the target alone drafting brings, where it is planned to bring them `planned` times. */
  gain(planned: number): number {
    return (planned * this.stretch('alone')) / this.stretch('drafting');
  }

  /** How the next round goes, where drafting is planned to bring `planned` times the tokens, in rounds of `roundMs`. */
  mode(preferred: Mode, { planned, roundMs }: { planned: number; roundMs: number }): Mode {
    const now = this.#now();
    if (this.#trial && now >= this.#trial.endsMs) this.#trial = null;
    const isQuestioned = Math.min(planned, this.gain(planned)) < UNQUESTIONED_GAIN;
    if (!this.#trial && isQuestioned && this.#trials.take()) {
      const mode = preferred === 'drafting' ? 'alone' : 'drafting';
      this.#trial = { mode, endsMs: now + TRIAL_ROUNDS * roundMs };
    }
    return this.#trial?.mode ?? preferred;
  }
}
