/**
 * What a verification rule decides, round by round: what to ask the target for, how the draft draws, and how the target's
 * reply reads: how many guesses are kept with which token after them. Every rule gives answers of the target's own
 * distribution. The loop knows no rule, and a rule knows neither text nor services.
 */
import type { DistributionRows, ScoreReply, ScoreRequestInput, VerificationRuleName } from '@forerunner/protocol';
import type { VerificationOutcome } from '@forerunner/sampling';

/** How the draft draws its guesses. */
export interface DraftNoise {
  readonly seed: number;
  /** With the noise that the target draws with; otherwise with noise of its own. */
  readonly isCoupled: boolean;
}

export interface VerificationRule {
  readonly name: VerificationRuleName;
  readonly draftNoise: DraftNoise;
  /** What the score call says of this round's rows. `draftDistributions`: what the guesses were drawn from; null: each is certain. */
  ask(draftDistributions: DistributionRows | null): RowsWanted;
  /** `draftTokenIds` [k], 0 <= k. Errors: internal_error for a reply that lacks what was asked for. */
  judge(draftTokenIds: Int32Array, reply: ScoreReply): VerificationOutcome;
}

export type RowsWanted = Pick<ScoreRequestInput, 'rows' | 'seed' | 'verification' | 'draftDistributions'>;
