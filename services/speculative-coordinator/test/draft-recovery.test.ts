/** From when to when forerunner_draft_recovery_seconds counts, round by round. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@forerunner/service-kit';
import { IncrementalDecoder } from '@forerunner/tokenizer';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Admission } from '../src/admission.ts';
import { Generation } from '../src/generation/generation.ts';
import { createMetrics } from '../src/metrics.ts';
import { DraftPeer } from '../src/peers/draft-peer.ts';
import type { Absence, DraftSession, Proposal } from '../src/peers/drafting.ts';
import { TargetReplicas } from '../src/peers/target-replicas.ts';
import { TargetSequence } from '../src/peers/target-sequence.ts';
import { ToyPeer, toyModel } from './toy-peers.ts';
import { sampling, toyText } from './toy-trio.ts';

type Reply = Absence | 'draft' | 'prediction';
const PREDICTION_MS = 30;

/** Says what stands in a list, then nothing more. */
class ScriptedSession implements DraftSession {
  readonly hiddenStateWindow = 0;
  readonly #replies: Reply[];

  constructor(replies: readonly Reply[]) {
    this.#replies = [...replies];
  }

  prefill(): void {}

  async propose(): Promise<Proposal | Absence> {
    const reply = this.#replies.shift() ?? 'none';
    if (reply !== 'draft' && reply !== 'prediction') return reply;
    if (reply === 'prediction') await sleep(PREDICTION_MS);
    return { draftTokenIds: Int32Array.of(1), draftLaws: null, origin: reply };
  }

  settle(): void {}
  observe(): void {}
  async close(): Promise<void> {}
}

/** Recoveries of one answer, and their seconds in sum. */
async function recoveries(replies: readonly Reply[]): Promise<{ count: number; seconds: number }> {
  const registry = new Registry();
  const target = new ToyPeer('target-service', toyModel(1, 3));
  const logger = createLogger('test', 'silent');
  const draft = new DraftPeer({ client: new ToyPeer('draft-service', toyModel(1, 3)), timeoutMs: 100, logger });
  const admission = new Admission({ maxRunning: 1, maxWaiting: 0 });
  const context = { requestId: 'r', timeoutMs: 1000, signal: new AbortController().signal, cacheScope: '' };
  const generation = new Generation(
    {
      promptTokenIds: Int32Array.of(3, 5),
      sampling: sampling({ temperature: 0 }),
      seed: 1,
      maxNewTokens: 30,
      stop: [],
      eosTokenIds: [0],
      numSpeculativeTokens: 1,
      numTopLogprobs: null,
    },
    {
      target: new TargetSequence(new TargetReplicas([target]), context),
      draft: new ScriptedSession(replies),
      decoder: new IncrementalDecoder(toyText),
      metrics: createMetrics(registry, { admission, draft }),
    },
  );
  for await (const _ of generation.steps());
  const text = await registry.metrics();
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
