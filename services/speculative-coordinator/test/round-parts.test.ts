/** Where the time of rounds goes: the parts add up to the rounds. */
import { describe, expect, it } from 'vitest';
import { ROUND_PARTS, RoundParts } from '../src/generation/round-parts.ts';

const target = { queue_ms: 0.5, model_ms: 8, total_ms: 9 };
const times = { startMs: 0, proposeMs: 3, grammarMs: 0.5, scoreMs: 10, roundMs: 14 };

describe('the parts of rounds', () => {
  it('are what the services say, what is left of the calls, and what lies between them', () => {
    const parts = new RoundParts();
    parts.add({ times, timings: { draft: { queue_ms: 0.25, model_ms: 1, total_ms: 2 }, target } });
    expect(parts.ms).toEqual({
      draft_model: 1,
      draft_queue: 0.25,
      draft_service: 0.75,
      draft_trip: 0.5,
      target_model: 8,
      target_queue: 0.5,
      target_service: 0.5,
      target_trip: 1,
      coordinator: 1.5, // the grammar's wait among it
    });
  });

  it('add up to the rounds, with a draft and without', () => {
    const parts = new RoundParts();
    parts.add({ times, timings: { draft: { queue_ms: 0.25, model_ms: 1, total_ms: 2 }, target } });
    parts.add({ times: { ...times, grammarMs: null }, timings: { draft: null, target } });
    expect(ROUND_PARTS.reduce((sum, part) => sum + parts.ms[part], 0)).toBe(28);
    expect(parts.ms.coordinator).toBe(1.5 + 4); // where no draft was asked, proposing is the coordinator's own time
  });
});
