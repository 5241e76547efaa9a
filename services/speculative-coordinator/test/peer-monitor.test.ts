/** The handshake as it goes on while the coordinator runs: drafts that are replaced, leave and come back. */

import type { ModelCard } from '@forerunner/protocol';
import { PROTOCOL_VERSION } from '@forerunner/protocol';
import type { Logger } from '@forerunner/service-kit';
import { describe, expect, it, vi } from 'vitest';
import { RemoteDraft } from '../src/pair/draft-client.ts';
import { DraftPeer } from '../src/pair/draft-peer.ts';
import { PeerMonitor } from '../src/pair/peer-monitor.ts';
import { TargetReplicas } from '../src/pair/target-replicas.ts';
import { ToyPeer, toyCard, toyModel } from './toy-peers.ts';

const hiddenStates = { name: 'hidden_states', width: 8, dtype: 'float16' as const };

function watched() {
  const peer = new ToyPeer('draft-service', toyModel(1, 1));
  const state: { card: ModelCard | Error } = { card: toyCard('draft-service') };
  peer.getJson = async () => {
    if (state.card instanceof Error) throw state.card;
    return state.card;
  };
  const target = new ToyPeer('target-service', toyModel(1, 1));
  const targetChange: Partial<ModelCard> = { hidden_states_offered: hiddenStates };
  target.getJson = async () => toyCard('target-service', targetChange);
  const error = vi.fn();
  const logger = { error, warn: vi.fn(), info: vi.fn() } as unknown as Logger;
  const draft = new DraftPeer({ client: new RemoteDraft(peer), timeoutMs: 100, logger });
  const monitor = new PeerMonitor({
    targets: new TargetReplicas([target]),
    draft,
    tokenizerFingerprint: toyCard('target-service').tokenizer_fingerprint,
    intervalMs: 1000,
    logger,
  });
  return { state, targetChange, draft, monitor, error, logger };
}

describe('the monitor of peers', () => {
  it.each([
    ['another tokenizer', { tokenizer_fingerprint: 'e'.repeat(64) }, /tokenizers differ/],
    [
      'hidden states of another width',
      { hidden_states_wanted: { ...hiddenStates, width: 16, target_digest: null } },
      /wants hidden_states of width 16, the target offers hidden_states of width 8/,
    ],
    [
      'hidden states of another name',
      { hidden_states_wanted: { ...hiddenStates, name: 'mid_states', target_digest: null } },
      /wants mid_states .* offers hidden_states/,
    ],
  ])(
    'turns drafting off when a draft with %s takes the place of one that fits, and on again',
    async (_what, change, reason) => {
      const { state, draft, monitor, error } = watched();
      await monitor.check();
      expect(draft.card).not.toBeNull();

      state.card = toyCard('draft-service', change);
      await monitor.check();
      await monitor.check();
      expect(draft.card).toBeNull();
      expect(draft.tryEnter()).toBe(false);
      expect(monitor.mismatch).toMatch(reason);
      expect(monitor.readiness).toEqual({ ready: true }); // the target alone answers
      expect(error).toHaveBeenCalledTimes(1);

      state.card = toyCard('draft-service', { hidden_states_wanted: { ...hiddenStates, target_digest: null } });
      await monitor.check();
      expect(monitor.mismatch).toBeNull();
      expect(draft.card?.hidden_states_wanted?.width).toBe(8);
    },
  );

  it.each([
    ['another tokenizer', { tokenizer_fingerprint: 'e'.repeat(64) }, /tokenizer \(f+\) is not that of target/],
    ['another protocol', { protocol_version: PROTOCOL_VERSION + 1 }, /speaks protocol version 4, the coordinator 3/],
  ])('serves no target with %s in the place of one that fits', async (_what, change, reason) => {
    const { targetChange, monitor } = watched();
    await monitor.check();
    expect(monitor.served).toHaveProperty('card');
    const before = { ...targetChange };
    Object.assign(targetChange, change);
    await monitor.check();
    expect(monitor.served).not.toHaveProperty('card');
    expect(monitor.readiness).toMatchObject({ ready: false, reason: expect.stringMatching(reason) });
    for (const name of Object.keys(change)) delete targetChange[name as keyof ModelCard];
    expect(targetChange).toEqual(before);
    await monitor.check();
    expect(monitor.readiness).toEqual({ ready: true });
  });

  it('is not ready while two replicas have different models, and names both', async () => {
    const [first, second] = [0, 1].map(() => new ToyPeer('target-service', toyModel(1, 1)));
    const { draft, logger } = watched();
    const monitor = new PeerMonitor({
      targets: new TargetReplicas([first!, second!]),
      draft,
      tokenizerFingerprint: toyCard('target-service').tokenizer_fingerprint,
      intervalMs: 1000,
      logger,
    });
    second!.modelDigest = 'e'.repeat(64);
    await monitor.check();
    const reason =
      'target replicas serve different models: "toy-target-service" (dddddddddddd) and "toy-target-service" (eeeeeeeeeeee)';
    expect(monitor.readiness).toEqual({ ready: false, reason });
    expect(monitor.served).toEqual({ reason });
    second!.modelDigest = 'd'.repeat(64);
    await monitor.check();
    expect(monitor.readiness).toEqual({ ready: true });
  });

  it('leaves a draft that is away to the breaker', async () => {
    const { state, draft, monitor } = watched();
    await monitor.check();
    state.card = new Error('ECONNREFUSED');
    await monitor.check();
    expect(draft.card).not.toBeNull();
    expect(monitor.mismatch).toBeNull();
  });
});
