/** What a round has the target check: the guesses of whoever made them, as the grammar leaves them. */
import { type DistributionRows, distributionAt, numDistributionRows, packDistributions } from '@forerunner/protocol';
import { oneHotDistribution } from '@forerunner/sampling';
import type { Proposal } from '../drafting/draft-session.ts';
import type { ConstrainedTokens } from './grammar/answer-grammar.ts';

export interface Guesses {
  readonly tokenIds: Int32Array; // [k]
  /** Distributions that the tokens were drawn from; null where each is one-hot, or nobody needs them. */
  readonly distributions: DistributionRows | null; // k distributions
  /** The last of them are the grammar's, the others the draft's or a text's. */
  readonly numForcedTokens: number;
  /** Masks of the first rows; undefined without a grammar. */
  readonly allowedTokens?: Int32Array | undefined;
}

const NO_TOKENS = new Int32Array(0);
export const NO_GUESSES: Guesses = { tokenIds: NO_TOKENS, distributions: null, numForcedTokens: 0 };

export function guessesOf(proposal: Proposal | null): Guesses {
  if (!proposal) return NO_GUESSES;
  return { tokenIds: proposal.draftTokenIds, distributions: proposal.draftDistributions, numForcedTokens: 0 };
}

export const forcedGuesses = (tokenIds: Int32Array): Guesses => ({
  tokenIds,
  distributions: null,
  numForcedTokens: tokenIds.length,
});

export function constrainedGuesses(guesses: Guesses, constrained: ConstrainedTokens): Guesses {
  const { numGuesses, forcedTokenIds, allowedTokens } = constrained;
  const tokenIds = new Int32Array(numGuesses + forcedTokenIds.length);
  tokenIds.set(guesses.tokenIds.subarray(0, numGuesses));
  tokenIds.set(forcedTokenIds, numGuesses);
  const numOwn = guesses.tokenIds.length - guesses.numForcedTokens;
  return {
    tokenIds,
    distributions: guesses.distributions && constrainedRows(guesses.distributions, constrained),
    numForcedTokens: Math.max(0, tokenIds.length - numOwn),
    allowedTokens,
  };
}

/** Those of the guesses that are left, and of the forced tokens behind them. */
function constrainedRows(rows: DistributionRows, { numGuesses, forcedTokenIds }: ConstrainedTokens): DistributionRows {
  if (numGuesses === numDistributionRows(rows) && forcedTokenIds.length === 0) return rows;
  return packDistributions([
    ...Array.from({ length: numGuesses }, (_, i) => distributionAt(rows, i)),
    ...Array.from(forcedTokenIds, oneHotDistribution),
  ]);
}
