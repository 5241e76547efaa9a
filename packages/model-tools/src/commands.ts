/** What the command line can do, as data: each rewrite with the check that belongs to it. */

import { addHiddenStatesOutput, addNumLogitsToKeep, newRowsOnly } from '@forerunner/onnx-graph';
import { checkHiddenStates, checkNewRowsOnly, checkNumLogitsToKeep } from './check/checks.ts';
import type { LogitComparison } from './check/compare.ts';
import type { CheckedModel } from './check/passes.ts';

export interface CheckVerdict {
  readonly ok: boolean;
  /** For a terminal. */
  readonly lines: readonly string[];
}

export interface RewriteCommand {
  readonly purpose: string;
  rewrite(modelBytes: Uint8Array): Uint8Array;
  check(model: CheckedModel): Promise<CheckVerdict>;
}

export const REWRITES: Readonly<Record<string, RewriteCommand>> = {
  'add-hidden-states': {
    purpose: 'adds the output hidden_states, which feature drafts need from their target',
    rewrite: addHiddenStatesOutput,
    check: exactly(checkHiddenStates),
  },
  'add-num-logits-to-keep': {
    purpose: 'adds the input num_logits_to_keep: the head runs over the last rows only',
    rewrite: addNumLogitsToKeep,
    check: exactly(checkNumLogitsToKeep),
  },
  'new-rows-only': {
    purpose: 'present.* holds the new rows only, for runtimes that copy every output',
    rewrite: newRowsOnly,
    check: exactly(checkNewRowsOnly),
  },
};

/** These rewrites leave the arithmetic alone; fused kernels may still move the last digit. */
const LAST_DIGITS = 1e-4;

export function verdictOf(comparison: LogitComparison): CheckVerdict {
  const ok = comparison.numArgmaxDifferences === 0 && comparison.maxDifference <= LAST_DIGITS;
  return { ok, lines: [comparisonLine('against the original', comparison)] };
}

function exactly(check: (model: CheckedModel) => Promise<LogitComparison>): RewriteCommand['check'] {
  return async (model) => verdictOf(await check(model));
}

function comparisonLine(what: string, comparison: LogitComparison): string {
  const { numRows, maxDifference, numArgmaxDifferences, largestLostMargin } = comparison;
  const margin = numArgmaxDifferences > 0 ? ` (by ${largestLostMargin.toPrecision(2)} at most)` : '';
  const difference = maxDifference === 0 ? 'bit-equal' : `largest difference ${maxDifference.toPrecision(2)}`;
  return `${what}: ${numRows} rows, ${difference}, another token wins in ${numArgmaxDifferences}${margin}`;
}
