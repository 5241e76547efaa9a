/**
 * Rules for which the target answers with its own token at every position: guesses are kept while they are these. *Greedy*
 * at temperature 0, where it is the likeliest one; *coupled* at any other, where target and draft draw with the same
 * noise. Only token ids travel, and the answer is the target's own, whatever was guessed.
 */
import { ServiceError } from '@forerunner/protocol';
import { type VerificationOutcome, verifyTargetTokens } from '@forerunner/sampling';
import type { DraftNoise, RowsWanted, VerificationRule } from './rule.ts';

export class GreedyRule implements VerificationRule {
  readonly name = 'greedy';
  readonly draftNoise: DraftNoise;

  constructor(seed: number) {
    this.draftNoise = { seed, isCoupled: false }; // nothing is drawn
  }

  ask(): RowsWanted {
    return { rows: 'argmax' };
  }

  judge(draftTokenIds: Int32Array, { argmaxTokenIds }: Parameters<VerificationRule['judge']>[1]): VerificationOutcome {
    return outcome(draftTokenIds, argmaxTokenIds);
  }
}

export class CoupledRule implements VerificationRule {
  readonly name = 'coupled';
  readonly draftNoise: DraftNoise;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
    this.draftNoise = { seed, isCoupled: true };
  }

  ask(): RowsWanted {
    return { rows: 'samples', seed: this.#seed };
  }

  judge(draftTokenIds: Int32Array, { sampledTokenIds }: Parameters<VerificationRule['judge']>[1]): VerificationOutcome {
    return outcome(draftTokenIds, sampledTokenIds);
  }
}

function outcome(draftTokenIds: Int32Array, targetTokenIds: Int32Array | undefined): VerificationOutcome {
  if (targetTokenIds) return verifyTargetTokens(draftTokenIds, targetTokenIds);
  throw new ServiceError('internal_error', 'the target answered without tokens');
}
