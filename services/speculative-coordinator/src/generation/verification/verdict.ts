/**
 * Rules that weigh the target's distributions against the draft's, beside the target's model: *rejection* and *block*
 * (docs/algorithm.md). The draft's distributions go up to the target as they came, how many guesses are kept and the
 * token after them come back.
 */
import { type DistributionRows, type ScoreReply, ServiceError, type VERDICT_RULES } from '@forerunner/protocol';
import type { VerificationOutcome } from '@forerunner/sampling';
import type { DraftNoise, RowsWanted, VerificationRule } from './rule.ts';

export class VerdictRule implements VerificationRule {
  readonly name: (typeof VERDICT_RULES)[number];
  /** The draft's draws are a stream of their own under the answer's seed. */
  readonly draftNoise: DraftNoise;

  constructor(name: (typeof VERDICT_RULES)[number], seed: number) {
    this.name = name;
    this.draftNoise = { seed, isCoupled: false };
  }

  ask(draftDistributions: DistributionRows | null): RowsWanted {
    return { rows: 'verdict', verification: this.name, seed: this.draftNoise.seed, draftDistributions };
  }

  judge(draftTokenIds: Int32Array, reply: ScoreReply): VerificationOutcome {
    const { num_accepted_tokens: numAcceptedTokens = -1, next_token_id: nextTokenId = -1 } = reply;
    const k = draftTokenIds.length;
    if (numAcceptedTokens < 0 || numAcceptedTokens > k || nextTokenId < 0) {
      throw new ServiceError('internal_error', `the target answered without a verdict about ${k} draft tokens`);
    }
    return numAcceptedTokens === k
      ? { numAcceptedTokens, bonusTokenId: nextTokenId }
      : { numAcceptedTokens, recoveredTokenId: nextTokenId };
  }
}
