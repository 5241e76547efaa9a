/** The passes that every check makes, and how an original and a rewritten graph are led through them side by side. */
import { compareLogits, type LogitComparison, newComparison } from './compare.ts';
import { LmSession, type LmStep, type Past, pastFrom, toFloat32 } from './lm-session.ts';

export interface CheckedModel {
  readonly original: Uint8Array;
  readonly rewritten: Uint8Array;
  /** Where external data lies. */
  readonly folder: string;
  /** The rewritten graph's, where it has data of its own. */
  readonly rewrittenFolder?: string;
  readonly headDim: number;
}

const PASS_LENGTHS = [11, 1, 1, 5, 2, 1, 9];
const NUM_TOKENS = PASS_LENGTHS.reduce((sum, length) => sum + length);
/** Rows of a cache that the caller owns: enough for all passes. */
export const CAPACITY = 64;
export type Follow = (step: Omit<LmStep, 'past'>) => Promise<Float32Array>;

/** Feeds the passes to the original with its own past, and to `follow`; compares all rows. */
export async function followPasses(original: LmSession, follow: Follow): Promise<LogitComparison> {
  const comparison = newComparison();
  let past: Past = original.emptyPast();
  let numPastTokens = 0;
  for (const length of PASS_LENGTHS) {
    const tokenIds = Array.from({ length }, (_, row) => tokenAt(numPastTokens + row, NUM_TOKENS));
    const expected = await original.run({ tokenIds, past, numPastTokens });
    const actual = await follow({ tokenIds, numPastTokens });
    compareLogits(comparison, toFloat32(expected.logits), actual, expected.logits?.dims.at(-1) ?? 1);
    past = pastFrom(expected);
    numPastTokens += length;
  }
  return comparison;
}

/** Any ids would do; these stay below 900, which every vocabulary has. */
function tokenAt(position: number, numTokens: number): number {
  return 3 + ((position * 397 + numTokens) % 890);
}

export async function withBoth<T>(
  model: CheckedModel,
  body: (original: LmSession, rewritten: LmSession) => Promise<T>,
) {
  const original = await LmSession.open(model.original, model.folder, model.headDim);
  try {
    const rewritten = await LmSession.open(model.rewritten, model.rewrittenFolder ?? model.folder, model.headDim);
    try {
      return await body(original, rewritten);
    } finally {
      await rewritten.close();
    }
  } finally {
    await original.close();
  }
}
