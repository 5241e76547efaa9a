/**
 * Draft lengths of all answers of a pair. Each answer asks before every round; what it gets depends on how its own
 * guesses fare, on what passes cost, and on who else shares them. Answers whose requests named a number get that number
 * and are load for the others.
 */
import type { ModelCard } from '@forerunner/protocol';
import type { DraftedRound, DraftLengthPolicy, Forecast, PlannedLength } from '../draft-length.ts';
import { AcceptanceEstimate, AcceptancePrior, type InitialChances } from './acceptance.ts';
import { type Allotment, allotDraftTokens, type Candidate } from './allotment.ts';
import { type CardHolder, PairCosts, type SamplingKind } from './pair-costs.ts';
import { ProbeClock } from './probe-clock.ts';
import { type Mode, RoundTimes } from './round-times.ts';

export interface PlannedAnswer {
  readonly temperature: number;
  readonly maxNewTokens: number;
  /** Most guesses of the draft in a round; 0: none, ever. */
  readonly maxDraftTokens: number;
  /** The request's own number of the draft's guesses; absent: as many as pay. */
  readonly fixedLength?: number | undefined;
  /** The request's own confidence; absent: what pays. */
  readonly fixedConfidence?: number | undefined;
  /** Which replica of the target the answer is on: only answers of one replica share its passes. */
  readonly replica: () => CardHolder | null;
}

/** Answers draft only if that promises so much more than not to: estimates are estimates. */
const MIN_GAIN = 1.02;
/** An answer that drafts goes on as long as it promises no loss. */
const MIN_GAIN_ONCE_DRAFTING = 1;
/** A guess after one that the draft is surer of than this is always worth its try. */
const MAX_CONFIDENCE = 0.95;
/** A draft that goes on only where it is sure: few second guesses, most of them kept. */
const STOPPING_DRAFT: InitialChances = {
  first: { made: 1, madeAfterKept: 1, kept: 0.6 },
  second: { made: 0.35, madeAfterKept: 0.45, kept: 0.8 },
};
const STEADY_DRAFT: InitialChances = {
  first: { made: 1, madeAfterKept: 1, kept: 0.6 },
  second: { made: 1, madeAfterKept: 1, kept: 0.6 },
};

/** Of answers that are on no replica yet. */
const NOWHERE = {};

export class DraftPlanner {
  readonly costs: PairCosts;
  readonly #probes: ProbeClock;
  readonly #draft: () => ModelCard | null;
  #draftDigest: string | undefined;
  readonly #answers = new Set<AnswerDraftLength>();
  readonly #priors = new Map<string, AcceptancePrior>();
  /** By replica of the target, then by how many answers share its passes. */
  #roundTimes = new WeakMap<object, Map<number, RoundTimes>>();
  readonly #now: () => number;

  /** `draft`: the card of the drafts, null while there are none; `now`: milliseconds, as performance.now() tells them. */
  constructor(draft: () => ModelCard | null, now = () => performance.now()) {
    this.#draft = draft;
    this.#now = now;
    this.#probes = new ProbeClock(now);
    this.costs = new PairCosts(draft);
  }

  /** Whoever opens it closes it. */
  open(answer: PlannedAnswer): DraftLengthPolicy {
    this.#noteDraft();
    return new AnswerDraftLength(this, answer);
  }

  /** A draft that is another model than before has to be learned anew. */
  #noteDraft(): void {
    const digest = this.#draft()?.model_digest;
    if (digest === undefined || digest === this.#draftDigest) return;
    this.#draftDigest = digest;
    this.#priors.clear();
    this.#roundTimes = new WeakMap();
    this.#probes.reset();
  }

  /** Of so many answers that share the passes of a replica; 3 and 4, 5 to 8, ... are taken together. */
  roundTimes(replica: CardHolder | null, numAnswers: number): RoundTimes {
    const place = replica ?? NOWHERE;
    const ofReplica = this.#roundTimes.get(place) ?? new Map<number, RoundTimes>();
    this.#roundTimes.set(place, ofReplica);
    const size = Math.ceil(Math.log2(numAnswers));
    const times = ofReplica.get(size) ?? new RoundTimes(this.#now);
    ofReplica.set(size, times);
    return times;
  }

  /** Where an answer's estimate of the draft's guesses begins. */
  prior({ temperature, fixedConfidence }: PlannedAnswer): AcceptancePrior {
    const name = `${Math.min(4, Math.ceil(temperature * 4))} ${fixedConfidence ?? 'auto'}`;
    const known = this.#priors.get(name);
    if (known) return known;
    const prior = new AcceptancePrior(fixedConfidence === 0 ? STEADY_DRAFT : STOPPING_DRAFT);
    this.#priors.set(name, prior);
    return prior;
  }

  /** Whether a guess is worth its cost for what it teaches: at first always, later now and then. */
  tries(answer: PlannedAnswer): boolean {
    return !this.prior(answer).isKnown || this.#probes.take();
  }

  /** The draft pays. */
  noteGain(): void {
    this.#probes.reset();
  }

  enter(answer: AnswerDraftLength): void {
    this.#answers.add(answer);
  }

  leave(answer: AnswerDraftLength): void {
    this.#answers.delete(answer);
  }

  /** The others that share the passes of an answer's replica. */
  neighbours(of: AnswerDraftLength): AnswerDraftLength[] {
    return [...this.#answers].filter((answer) => answer !== of && answer.replica === of.replica);
  }
}

interface PlannedRound {
  readonly mode: Mode;
  /** This answer asks for guesses, which a plan that drafts may deny it. */
  readonly drafts: boolean;
  /** It asks for one guess beside the plan. */
  readonly isTrial: boolean;
  readonly plannedMs: number;
  readonly times: RoundTimes;
}

const NO_GUESSES: Candidate = { expected: { kept: [], made: [], nextKept: 1 }, usesDraft: false };

class AnswerDraftLength implements DraftLengthPolicy {
  readonly #planner: DraftPlanner;
  readonly #answer: PlannedAnswer;
  readonly #kind: SamplingKind;
  readonly #estimate: AcceptanceEstimate;
  #numTokens = 0;
  #numTokensLeft: number;
  /** Tokens of the text that the draft has not read. */
  #numUnread = 0;
  #preferred: Mode = 'alone';
  /** Its next round, as the cost curves have it; null: its request says how it goes. */
  #next: PlannedRound | null = null;

  constructor(planner: DraftPlanner, answer: PlannedAnswer) {
    this.#planner = planner;
    this.#answer = answer;
    this.#kind = answer.temperature === 0 ? 'greedy' : 'sampled';
    this.#estimate = new AcceptanceEstimate(planner.prior(answer));
    this.#numTokensLeft = answer.maxNewTokens;
  }

  get replica(): CardHolder | null {
    return this.#answer.replica();
  }

  get numTokens(): number {
    return this.#numTokens;
  }

  ofDraft(): PlannedLength {
    const { fixedLength, fixedConfidence, maxDraftTokens } = this.#answer;
    const own = this.candidate;
    const plan = this.#plan(own);
    if (fixedLength !== undefined) {
      const forecast = this.#forecast(own, fixedLength, plan);
      return { numSpeculativeTokens: fixedLength, minConfidence: fixedConfidence ?? 0, forecast };
    }
    const times = this.#roundTimes(plan);
    const mode = this.#chooseMode(plan, times);
    const planned = mode === 'drafting' ? plan.lengths[0]! : 0;
    const isTrial = planned === 0 && maxDraftTokens > 0 && this.#planner.tries(this.#answer);
    const plannedMs = (mode === 'drafting' ? plan : plan.without).roundMs;
    this.#next = { mode, drafts: planned > 0, isTrial, plannedMs, times };
    const worthwhile = (plan.tokensPerMs * plan.nextGuessMs) / own.expected.nextKept;
    return {
      numSpeculativeTokens: isTrial ? 1 : planned,
      minConfidence: fixedConfidence ?? Math.min(MAX_CONFIDENCE, worthwhile),
      forecast: this.#forecast(own, planned, plan),
    };
  }

  /** Whether the answers that share its passes should draft now: as rounds go, not only as planned. */
  #chooseMode({ lengths, tokensPerMs, roundMs, without }: Allotment, times: RoundTimes): Mode {
    const planned = tokensPerMs / without.tokensPerMs;
    const minGain = this.#preferred === 'drafting' ? MIN_GAIN_ONCE_DRAFTING : MIN_GAIN;
    this.#preferred = times.gain(planned) >= minGain ? 'drafting' : 'alone';
    const canDraft = lengths.some((length) => length > 0);
    return canDraft ? times.mode(this.#preferred, { planned, roundMs }) : 'alone';
  }

  #roundTimes({ lengths }: Allotment): RoundTimes {
    return this.#planner.roundTimes(this.replica, lengths.length);
  }

  ofText(kept: readonly number[]): PlannedLength {
    const made = kept.map(() => 1);
    const own: Candidate = { expected: { kept, made, nextKept: 1 }, usesDraft: false };
    // Whatever the others guess: a text has to be worth its rows by itself.
    const plan = this.#plan(own, () => NO_GUESSES);
    const planned = plan.tokensPerMs >= MIN_GAIN * plan.without.tokensPerMs ? plan.lengths[0]! : 0;
    return { numSpeculativeTokens: planned, minConfidence: 0, forecast: this.#forecast(own, planned, plan) };
  }

  observe(round: DraftedRound): void {
    this.#planner.costs.observe(this.#kind, round);
    const numNew = round.numTokens - this.#numTokens;
    this.#numUnread += round.index === 0 ? numNew - round.numReusedTokens : numNew;
    this.#numTokens = round.numTokens;
    if (round.index === 0) {
      this.#planner.enter(this);
      return;
    }
    this.#numTokensLeft -= numNew;
    this.#time(round);
    if (round.origin !== 'draft') {
      this.#estimate.age();
      return;
    }
    const { limit, numDraftTokens, numAcceptedTokens } = round;
    this.#estimate.add({ limit, numMade: numDraftTokens, numKept: numAcceptedTokens });
    this.#numUnread = 0;
    if (this.#next?.mode === 'drafting') this.#planner.noteGain();
  }

  /** Rounds between two modes tell nothing of either, nor do those that went otherwise than planned, or were a trial. */
  #time({ origin, roundMs }: DraftedRound): void {
    const next = this.#next;
    if (!next || next.isTrial || origin !== (next.drafts ? 'draft' : null)) return;
    const isMixed = this.#planner.neighbours(this).some((other) => other.#next && other.#next.mode !== next.mode);
    if (!isMixed) next.times.add(next.mode, { measuredMs: roundMs, plannedMs: next.plannedMs });
  }

  close(): void {
    this.#planner.leave(this);
  }

  /** Its next round with guesses of the draft, which is also how others see it. */
  get candidate(): Candidate {
    const { maxDraftTokens, fixedLength } = this.#answer;
    const expected = this.#estimate.expected(maxDraftTokens);
    return { expected, usesDraft: true, ...(fixedLength !== undefined && { fixedLength }) };
  }

  /** For all answers that share passes, this one first. */
  #plan(own: Candidate, asOther = ({ candidate }: AnswerDraftLength) => candidate): Allotment {
    const others = this.#planner.neighbours(this);
    const numCachedTokens = others.reduce((sum, other) => sum + other.numTokens, this.#numTokens);
    const costs = this.#planner.costs.of(this.#kind, this.replica, numCachedTokens);
    const catchUpMs = own.usesDraft ? this.#catchUpMs(costs.draftReadMs) : 0;
    const candidates = [own, ...others.map(asOther)];
    return allotDraftTokens(candidates, { ...costs, draftTripMs: costs.draftTripMs + catchUpMs });
  }

  /** What the draft must read first, spread over the rounds that are left to profit from it. */
  #catchUpMs(readMs: number): number {
    const numRoundsLeft = Math.max(1, this.#numTokensLeft / 2);
    return (readMs * this.#numUnread) / numRoundsLeft;
  }

  #forecast({ expected, usesDraft }: Candidate, length: number, plan: Allotment): Forecast {
    const numKept = expected.kept.slice(0, length).reduce((sum, chance) => sum + chance, 0);
    const stretch = usesDraft && length > 0 ? this.#roundTimes(plan).stretch('drafting') : 1;
    const roundMs = (length > 0 ? plan : plan.without).roundMs * stretch;
    return { tokensPerMs: (1 + numKept) / roundMs, tokensPerMsWithout: 1 / plan.aloneMs };
  }
}
