/**
 * What a verification rule decides, round by round: what to ask the target for, from which noise the draft draws, and
 * how many guesses are kept with which token after them. Every rule gives answers of the target's own distribution. The
 * loop knows no rule, and a rule knows neither text nor services.
 */
import type { ScoreReply, ScoreRequestInput } from '@forerunner/protocol';
import type { TokenDistribution, VerificationOutcome } from '@forerunner/sampling';

export interface RoundToJudge {
  /** Position of the first token that this round emits. */
  readonly position: number;
  readonly draftTokenIds: Int32Array; // [k], 0 <= k
  /** Distributions that the guesses were drawn from; null where each is one-hot. */
  readonly draftDistributions: readonly TokenDistribution[] | null; // [k]
  /** One row of the kind that the rule asks for after the last committed token, and one after each guess. */
  readonly reply: ScoreReply; // [k + 1] rows
}

export interface VerificationRule {
  /** The form of the rows that `judge` reads. */
  readonly rows: NonNullable<ScoreRequestInput['rows']>;
  /** Seed of the draft's own draws. */
  readonly draftSeed: number;
  judge(round: RoundToJudge): VerificationOutcome;
}
