/** How long an answer went without its draft: from the first round that missed it to the next one that had it. */
import type { RoundRecord } from './round.ts';

export class LostDraftClock {
  #hadDraft = false;
  /** Since when the draft has had no proposal although one was wanted, on the clock of performance.now(). */
  #lostSinceMs: number | null = null;

  /** The time without the draft, milliseconds, in the round in which it is back; else null. */
  observe({ proposal, origin, times }: Pick<RoundRecord, 'proposal' | 'origin' | 'times'>): number | null {
    // A draft that is still busy with its first text is not lost.
    if (proposal === 'unavailable' || (proposal === 'warming' && this.#hadDraft)) this.#lostSinceMs ??= times.startMs;
    if (origin !== 'draft') return null; // a text says nothing of the draft
    this.#hadDraft = true;
    const lostSinceMs = this.#lostSinceMs;
    this.#lostSinceMs = null;
    return lostSinceMs === null ? null : times.startMs + times.proposeMs - lostSinceMs;
  }
}
