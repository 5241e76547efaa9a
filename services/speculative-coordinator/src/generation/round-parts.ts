/** Where the time of rounds goes: a sum for each part, which costs a round eight additions. Knows no metrics. */
import type { RoundRecord } from './round.ts';

/**
 * `model`: the passes; `queue`: what went before the first of them; `service`: what else the service did, its sampler
 * above all; `trip`: the rest of the call as the coordinator saw it. `coordinator`: what lies between the calls, guesses
 * of texts and a grammar among it.
 */
export const ROUND_PARTS = [
  'draft_model',
  'draft_queue',
  'draft_service',
  'draft_trip',
  'target_model',
  'target_queue',
  'target_service',
  'target_trip',
  'coordinator',
] as const;
export type RoundPart = (typeof ROUND_PARTS)[number];

export class RoundParts {
  readonly #ms = Object.fromEntries(ROUND_PARTS.map((part) => [part, 0])) as Record<RoundPart, number>;

  /** Milliseconds so far. */
  get ms(): Readonly<Record<RoundPart, number>> {
    return this.#ms;
  }

  add({ times, timings: { draft, target } }: Pick<RoundRecord, 'times' | 'timings'>): void {
    const ms = this.#ms;
    const draftMs = draft ? times.proposeMs - (times.grammarMs ?? 0) : 0;
    if (draft) {
      ms.draft_model += draft.model_ms;
      ms.draft_queue += draft.queue_ms;
      ms.draft_service += draft.total_ms - draft.queue_ms - draft.model_ms;
      ms.draft_trip += draftMs - draft.total_ms;
    }
    ms.target_model += target.model_ms;
    ms.target_queue += target.queue_ms;
    ms.target_service += target.total_ms - target.queue_ms - target.model_ms;
    ms.target_trip += times.scoreMs - target.total_ms;
    ms.coordinator += times.roundMs - draftMs - times.scoreMs;
  }
}
