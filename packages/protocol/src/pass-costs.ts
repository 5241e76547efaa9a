/** What a pass of a model costs, as its service measured it at start and corrects it since. */
import { z } from 'zod';

export const passCostsSchema = z.object({
  /** Rows (new tokens) at which a pass of one sequence was measured, increasing. */
  rows: z.array(z.int().positive()).min(1),
  /** Milliseconds of a pass with so many rows and almost nothing cached, not decreasing. */
  ms: z.array(z.number().positive()).min(1),
  /** What each sequence beyond the first adds to the rows that it brings. */
  ms_per_sequence: z.number().nonnegative(),
  /** What 1,024 cached tokens add that the pass attends to, of all its sequences together. */
  ms_per_1024_cached_tokens: z.number().nonnegative(),
});
export type PassCosts = z.output<typeof passCostsSchema>;

export interface PassShape {
  /** New tokens of all sequences; fractions are what is expected on average. */
  readonly numRows: number;
  readonly numSequences: number;
  /** Of all sequences. */
  readonly numCachedTokens: number;
}

/** Milliseconds of a pass, linear between the rows measured, and beyond them as between the last two. */
export function passMs(costs: PassCosts, { numRows, numSequences, numCachedTokens }: PassShape): number {
  return (
    rowsMs(costs, numRows) +
    costs.ms_per_sequence * Math.max(0, numSequences - 1) +
    (costs.ms_per_1024_cached_tokens * numCachedTokens) / 1024
  );
}

function rowsMs({ rows, ms }: PassCosts, numRows: number): number {
  const last = rows.length - 1;
  if (last === 0 || numRows <= rows[0]!) return ms[0]!;
  let end = 1;
  while (end < last && rows[end]! < numRows) end++;
  const share = (numRows - rows[end - 1]!) / (rows[end]! - rows[end - 1]!);
  return ms[end - 1]! + share * (ms[end]! - ms[end - 1]!);
}
