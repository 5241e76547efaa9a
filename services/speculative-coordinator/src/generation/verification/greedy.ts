/** Greedy verification: guesses are kept while they are the target's argmax. For temperature 0; there is no noise. */
import { type VerificationOutcome, verifyGreedy } from '@forerunner/sampling';
import type { RoundToJudge, VerificationRule } from './rule.ts';

export class GreedyRule implements VerificationRule {
  readonly rows = 'argmax';
  readonly draftSeed: number;

  constructor(seed: number) {
    this.draftSeed = seed;
  }

  judge({ draftTokenIds, reply }: RoundToJudge): VerificationOutcome {
    return verifyGreedy(draftTokenIds, reply.argmaxTokenIds!);
  }
}
