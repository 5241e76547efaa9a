/**
 * How much faster a pair answers than its target alone, by number of guesses: measured chances and measured costs, put
 * together by the coordinator's own planner (`allotDraftTokens`). A pure function.
 */

import type { ModelCard } from '@forerunner/protocol';
import { allotDraftTokens } from '@forerunner/speculative-coordinator/allotment';
import { type Overheads, PairCosts, type SamplingKind } from '@forerunner/speculative-coordinator/pair-costs';

export interface MeasuredPair {
  readonly target: ModelCard;
  readonly draft: ModelCard;
  readonly overheads: Overheads;
  readonly kind: SamplingKind;
  /** Chances that 1, 2, … guesses of a proposal are kept; not increasing. */
  readonly kept: readonly number[];
  /** Tokens of a text at half of its answer. */
  readonly numCachedTokens: number;
}

export interface PredictedLength {
  /** Guesses of every round. */
  readonly draftK: number;
  /** Tokens per second, those of the target alone being 1. */
  readonly speedup: number;
  readonly tokensPerRound: number;
  readonly roundMs: number;
}

/** For 0, 1, … guesses, as many as chances are known of. One answer at a time. */
export function predictSpeedups(pair: MeasuredPair): PredictedLength[] {
  const { target, draft, overheads, kind, kept, numCachedTokens } = pair;
  const costs = new PairCosts(() => draft, overheads).of(kind, { card: target }, numCachedTokens);
  const expected = { kept, made: kept.map(() => 1), nextKept: 1 };
  return [0, ...kept.map((_, i) => i + 1)].map((draftK) => {
    const plan = allotDraftTokens([{ expected, usesDraft: true, fixedLength: draftK }], costs);
    const { tokensPerMs, roundMs, aloneMs } = plan;
    return { draftK, speedup: tokensPerMs * aloneMs, tokensPerRound: tokensPerMs * roundMs, roundMs };
  });
}

export function bestOf(lengths: readonly PredictedLength[]): PredictedLength {
  return lengths.reduce((best, length) => (length.speedup > best.speedup ? length : best));
}
