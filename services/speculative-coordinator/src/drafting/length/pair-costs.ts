/**
 * What a round of a pair costs: the passes as the services' cards tell, and the rest (the ways there and back, sampling,
 * encoding), which only the coordinator sees, from the rounds that it runs.
 */
import { type ModelCard, type PassCosts, passMs, type Timing } from '@forerunner/protocol';
import { z } from 'zod';
import type { RoundCosts } from './allotment.ts';

/** Times of one call: as the coordinator saw it, and what the service says of it. */
interface CallTimes {
  readonly callMs: number;
  readonly timing: Timing;
}

export interface TimedRound {
  readonly target: CallTimes;
  /** null: no draft was asked. */
  readonly draft: CallTimes | null;
  readonly numDraftTokens: number;
}

/** A mean that forgets, and believes no single value that is far off. The first values count more: it begins as a guess. */
class MovingMean {
  #value: number;
  #numValues = 0;

  constructor(value: number) {
    this.#value = value;
  }

  get value(): number {
    return this.#value;
  }

  add(value: number): void {
    const weight = Math.max(0.1, 1 / (++this.#numValues + 1));
    this.#value += weight * (Math.min(Math.max(0, value), 4 * this.#value + 1) - this.#value);
  }
}

/** Greedy and sampled rounds move different amounts of data, and sample or do not. */
export type SamplingKind = 'greedy' | 'sampled';

const kindOverheadsSchema = z.object({
  target_trip_ms: z.number().describe('A call of the target beyond its pass: the way there and back, encoding.'),
  draft_trip_ms: z.number().describe('A call of the draft beyond what the draft does: the way there and back.'),
  guess_ms: z.number().describe('What the draft does for each guess beside its pass.'),
});
/** What rounds cost beyond passes, in milliseconds. */
export const overheadsSchema = z.object({ greedy: kindOverheadsSchema, sampled: kindOverheadsSchema });
export type Overheads = z.output<typeof overheadsSchema>;

/** Until rounds have shown it. */
const ASSUMED = { target_trip_ms: 1, draft_trip_ms: 1, guess_ms: 0.1 };

class KindCosts {
  readonly targetTripMs: MovingMean;
  readonly draftTripMs: MovingMean;
  readonly guessMs: MovingMean;

  constructor(overheads: Overheads[SamplingKind]) {
    this.targetTripMs = new MovingMean(overheads.target_trip_ms);
    this.draftTripMs = new MovingMean(overheads.draft_trip_ms);
    this.guessMs = new MovingMean(overheads.guess_ms);
  }

  get overheads(): Overheads[SamplingKind] {
    const { targetTripMs, draftTripMs, guessMs } = this;
    return { target_trip_ms: targetTripMs.value, draft_trip_ms: draftTripMs.value, guess_ms: guessMs.value };
  }
}

/** Rows of a pass that reads text: beyond so many each costs the same. */
const READ_ROWS = 32;

/** A replica of the target, as far as costs go. */
export interface CardHolder {
  /** As it is now, or why there is none. */
  readonly card: ModelCard | Error;
}

export class PairCosts {
  readonly #draft: () => ModelCard | null;
  readonly #kinds: Record<SamplingKind, KindCosts>;

  /** `draft`: the card of the drafts, null while there are none; `overheads`: where somebody has seen rounds of the pair already. */
  constructor(draft: () => ModelCard | null, overheads: Overheads = { greedy: ASSUMED, sampled: ASSUMED }) {
    this.#draft = draft;
    this.#kinds = { greedy: new KindCosts(overheads.greedy), sampled: new KindCosts(overheads.sampled) };
  }

  get overheads(): Overheads {
    return { greedy: this.#kinds.greedy.overheads, sampled: this.#kinds.sampled.overheads };
  }

  observe(kind: SamplingKind, { target, draft, numDraftTokens }: TimedRound): void {
    const { targetTripMs, draftTripMs, guessMs } = this.#kinds[kind];
    targetTripMs.add(target.callMs - target.timing.model_ms - target.timing.queue_ms);
    if (!draft || numDraftTokens === 0) return;
    const { total_ms: totalMs, model_ms: modelMs, queue_ms: queueMs } = draft.timing;
    draftTripMs.add(draft.callMs - totalMs);
    guessMs.add((totalMs - queueMs - modelMs) / numDraftTokens);
  }

  /** `numCachedTokens`: of all the answers on the replica together. */
  of(kind: SamplingKind, replica: CardHolder | null, numCachedTokens: number): RoundCosts {
    const draft = this.#draft();
    const target = !replica || replica.card instanceof Error ? null : replica.card;
    const { targetTripMs, draftTripMs, guessMs } = this.#kinds[kind];
    return {
      targetMs: (numRows, numSequences) =>
        targetTripMs.value + (target ? sharedPassesMs(target, { numRows, numSequences, numCachedTokens }) : 0),
      draftMs: (numSequences, index) => {
        if (!draft) return 0;
        const share = Math.min(1, numSequences); // what happens in half of the rounds costs half
        const sequences = Math.max(1, numSequences);
        const numRows = index === 0 ? 2 * sequences : sequences; // the first pass reads what the last round kept
        const passesMs = sharedPassesMs(draft, { numRows, numSequences: sequences, numCachedTokens });
        return share * (guessMs.value * sequences + passesMs);
      },
      draftTripMs: draftTripMs.value,
      draftReadMs: draft
        ? passMs(draft.pass_costs, { numRows: READ_ROWS, numSequences: 1, numCachedTokens }) / READ_ROWS
        : 0,
    };
  }
}

/** Time of the passes that sequences need, several when they are more than a pass takes. */
function sharedPassesMs(
  { pass_costs: costs, max_batch_items: maxItems }: { pass_costs: PassCosts; max_batch_items: number },
  shape: { numRows: number; numSequences: number; numCachedTokens: number },
): number {
  const numPasses = Math.max(1, shape.numSequences / maxItems);
  return (
    numPasses *
    passMs(costs, {
      numRows: shape.numRows / numPasses,
      numSequences: shape.numSequences / numPasses,
      numCachedTokens: shape.numCachedTokens / numPasses,
    })
  );
}
