/**
 * Speculative sampling by rejection (`verifyRejection`), with its noise. Every draw is keyed by the absolute position
 * that it decides, so that none is ever used for two of them. Where the token after the kept guesses will stand is known
 * only afterwards: its uniform is keyed by the round's first position.
 */
import { distributionAt } from '@forerunner/protocol';
import { CounterRng, drawFrom, STREAM, type VerificationOutcome, verifyRejection } from '@forerunner/sampling';
import type { RoundToJudge, VerificationRule } from './rule.ts';

export class RejectionRule implements VerificationRule {
  readonly rows = 'probs';
  /** The draft's draws are a stream of their own under the answer's seed. */
  readonly draftSeed: number;
  readonly #rng: CounterRng;

  constructor(seed: number) {
    this.draftSeed = seed;
    this.#rng = new CounterRng(seed);
  }

  judge({ position, draftTokenIds, draftDistributions, reply }: RoundToJudge): VerificationOutcome {
    const k = draftTokenIds.length;
    const distributions = reply.distributions!;
    const followUniform = this.#rng.uniform(STREAM.followDraw, position);
    if (k === 0) {
      return { numAcceptedTokens: 0, bonusTokenId: drawFrom(distributionAt(distributions, 0), followUniform) };
    }
    return verifyRejection({
      draftTokenIds,
      draftDistributions: draftDistributions ?? [],
      targetDistributions: Array.from({ length: k + 1 }, (_, i) => distributionAt(distributions, i)),
      acceptanceUniforms: Array.from(draftTokenIds, (_, i) => this.#rng.uniform(STREAM.acceptance, position + i)),
      followUniform,
    });
  }
}
