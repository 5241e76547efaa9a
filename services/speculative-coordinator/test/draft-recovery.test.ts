/** From when to when forerunner_draft_recovery_seconds counts, round by round. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { DraftSession, NoProposal, ProposeResult } from '../src/drafting/draft-session.ts';
import { ToyPeer, toyModel } from './toy-peers.ts';
import { sampling, ToyTrio } from './toy-trio.ts';

type Reply = NoProposal['kind'] | 'draft' | 'prediction' | 'lookup';
const PREDICTION_MS = 30;

/** Says what stands in a list, then nothing more. */
class ScriptedSession implements DraftSession {
  readonly #replies: Reply[];

  constructor(replies: readonly Reply[]) {
    this.#replies = [...replies];
  }

  hiddenStatesWanted(): null {
    return null;
  }

  async prefill(): Promise<void> {}

  async propose(): Promise<ProposeResult> {
    const reply = this.#replies.shift() ?? 'none';
    if (reply === 'none' || reply === 'warming' || reply === 'unavailable') return { kind: reply };
    if (reply === 'prediction') await sleep(PREDICTION_MS);
    return { kind: 'proposal', origin: reply, draftTokenIds: Int32Array.of(1), draftDistributions: null, timing: null };
  }

  settle(): void {}
  observe(): void {}
  async close(): Promise<void> {}
}

/** Recoveries of one answer, and their seconds in sum. */
async function recoveries(replies: readonly Reply[]): Promise<{ count: number; seconds: number }> {
  const model = toyModel(1, 3);
  const trio = new ToyTrio(new ToyPeer('target-service', model), new ToyPeer('draft-service', model));
  trio.openDraft = () => new ScriptedSession(replies);
  await trio.generate({ sampling: sampling({ temperature: 0 }), maxNewTokens: 30, numSpeculativeTokens: 1 });
  const text = await trio.registry.metrics();
  const value = (suffix: string) =>
    Number(new RegExp(`^forerunner_draft_recovery_seconds_${suffix} (\\S+)$`, 'm').exec(text)?.[1]);
  return { count: value('count'), seconds: value('sum') };
}

describe('a recovery of the draft', () => {
  it.each<[string, Reply[], number]>([
    ['counts when the draft was away from the start', ['unavailable', 'unavailable', 'draft'], 1],
    ['counts when the draft is away after its prompt', ['warming', 'unavailable', 'draft'], 1],
    ['counts when the draft lost its text', ['draft', 'warming', 'warming', 'draft'], 1],
    ['counts each time', ['draft', 'unavailable', 'warming', 'draft', 'draft', 'unavailable', 'draft'], 2],
    ['is not the end of the warming of the prompt', ['warming', 'warming', 'draft'], 0],
    ['is not that either when the client predicted something', ['prediction', 'warming', 'draft'], 0],
    ['is not over while only predictions come', ['draft', 'unavailable', 'prediction', 'prediction'], 0],
    ['is not over while only lookups come', ['draft', 'unavailable', 'lookup', 'lookup', 'draft'], 1],
    ['does not come without a loss', ['draft', 'none', 'draft', 'prediction', 'draft'], 0],
  ])('%s', async (_what, replies, count) => {
    expect((await recoveries(replies)).count).toBe(count);
  });

  it('takes the time of the predictions in between, too', async () => {
    const { count, seconds } = await recoveries(['unavailable', 'prediction', 'prediction', 'draft']);
    expect(count).toBe(1);
    expect(seconds).toBeGreaterThan((1.8 * PREDICTION_MS) / 1000); // timers may fire a little early
  });
});
