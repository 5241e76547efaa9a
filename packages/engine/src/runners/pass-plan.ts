import { requireContext, requireTokenIds } from '../limits.ts';
import type { ForwardItem } from '../runner.ts';
import type { GraphSignature } from '../signature.ts';

export interface PassPlan {
  readonly item: ForwardItem;
  readonly numTokens: number;
  /** Tokens and pads: what the graph sees. */
  readonly numRows: number;
  /** Rows that the head computes: at least minRows too, since the head is a matrix product like the rest. */
  readonly numHeadRows: number;
  /** First of the head's rows that the caller wants. */
  readonly firstLogitRow: number;
}

/**
 * Errors: EngineError token_out_of_range | context_overflow (the pad row counts, its K and V are written too);
 * TypeError for an item that no correct caller makes.
 */
export function planPass(item: ForwardItem, signature: GraphSignature, minRows: number): PassPlan {
  const { tokenIds, numPastTokens, numLogitRows, hiddenStates } = item;
  const numTokens = tokenIds.length;
  if (numTokens < 1) throw new TypeError('a pass needs at least one token');
  if (!(Number.isInteger(numPastTokens) && numPastTokens >= 0)) {
    throw new TypeError(`numPastTokens must be a whole number from 0, got ${numPastTokens}`);
  }
  if (!(Number.isInteger(numLogitRows) && numLogitRows >= 0 && numLogitRows <= numTokens)) {
    throw new TypeError(`numLogitRows must be 0..${numTokens}, got ${numLogitRows}`);
  }
  checkHiddenStates(signature, hiddenStates, numTokens);
  requireTokenIds(tokenIds, signature.vocabSize);
  const numRows = canonicalRows(Math.max(numTokens, minRows), minRows);
  const pads = numRows > numTokens ? ` (${numRows - numTokens} of padding)` : '';
  const what = `${numPastTokens} cached and ${numRows} new tokens${pads}`;
  requireContext(numPastTokens + numRows, signature.contextLength, what);
  const numPads = numRows - numTokens;
  const limited = signature.numLogitsToKeepInput !== undefined;
  const numHeadRows = limited ? canonicalRows(Math.max(numLogitRows + numPads, minRows), minRows) : numRows;
  return { item, numTokens, numRows, numHeadRows, firstLogitRow: numHeadRows - numPads - numLogitRows };
}

/**
 * The CPU's matrix products cut rows into tiles of 32 (float32) or 128 (int8), and a tile of one row goes through the
 * one-row kernel like a pass of one row does. Measured: of 2..200 rows, 33, 65, 97, ... differ in their last row (129
 * on the int8 model by 0.8 in a logit) and no other count does. So a row is added there as well.
 */
export function canonicalRows(numRows: number, minRows: number): number {
  return minRows > 1 && numRows % 32 === 1 ? numRows + 1 : numRows;
}

function checkHiddenStates(signature: GraphSignature, hiddenStates: Float32Array | undefined, numTokens: number): void {
  const width = signature.hiddenStatesInput?.width ?? 0;
  if ((hiddenStates?.length ?? 0) !== numTokens * width) {
    const want =
      width === 0 ? 'this model takes no hidden states' : `hidden states must have ${numTokens} x ${width} values`;
    throw new TypeError(`${want}, got ${hiddenStates?.length ?? 'none'}`);
  }
}

/** Writes the item's ids to `numRows` of the target's rows, the last one repeated where they are more. */
export function writeTokenIds(plan: PassPlan, target: BigInt64Array, firstRow = 0, numRows = plan.numRows): void {
  const { tokenIds } = plan.item;
  for (let row = 0; row < numRows; row++) {
    target[firstRow + row] = BigInt(tokenIds[Math.min(row, plan.numTokens - 1)]!);
  }
}

/** The same with the item's hidden states, rows of `width` values. */
export function writeHiddenStates(
  plan: PassPlan,
  target: Float32Array | Float16Array,
  width: number,
  firstRow = 0,
  numRows = plan.numRows,
): void {
  const hiddenStates = plan.item.hiddenStates!;
  target.set(hiddenStates, firstRow * width);
  for (let row = plan.numTokens; row < numRows; row++) {
    target.set(hiddenStates.subarray((plan.numTokens - 1) * width), (firstRow + row) * width);
  }
}
