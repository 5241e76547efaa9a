/** The handshake as it goes on while the coordinator runs: drafts that are replaced, leave and come back. */

import { PROTOCOL_VERSION } from '@forerunner/protocol';
import { describe, expect, it } from 'vitest';
import { hideCard, ToyPools, toyPeers } from './toy-pools.ts';

const hiddenStates = { name: 'hidden_states', width: 8, dtype: 'float16' as const };

function watched() {
  const [target, draft] = [toyPeers('target-service', 1)[0]!, toyPeers('draft-service', 1)[0]!];
  target.cardChange = { hidden_states_offered: hiddenStates };
  const pools = new ToyPools([target], [draft]);
  return { target, draft, pools, drafts: pools.drafts, monitor: pools.monitor, error: pools.logger.error };
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
      const { draft, drafts, monitor, error } = watched();
      await monitor.check();
      expect(drafts.card).not.toBeNull();

      draft.cardChange = change;
      await monitor.check();
      await monitor.check();
      expect(drafts.card).toBeNull();
      expect(drafts.enter({ current: null, key: () => 'a' })).toBeNull();
      expect(monitor.mismatch).toMatch(reason);
      expect(monitor.readiness).toEqual({ ready: true }); // the target alone answers
      expect(error).toHaveBeenCalledTimes(1);

      draft.cardChange = { hidden_states_wanted: { ...hiddenStates, target_digest: null } };
      await monitor.check();
      expect(monitor.mismatch).toBeNull();
      expect(drafts.card?.hidden_states_wanted?.width).toBe(8);
    },
  );

  it.each([
    ['another tokenizer', { tokenizer_fingerprint: 'e'.repeat(64) }, /tokenizer \(f+\) is not that of target/],
    ['another protocol', { protocol_version: PROTOCOL_VERSION + 1 }, /speaks protocol version 4, the coordinator 3/],
  ])('serves no target with %s in the place of one that fits', async (_what, change, reason) => {
    const { target, monitor } = watched();
    await monitor.check();
    expect(monitor.served).toHaveProperty('card');
    const before = target.cardChange;
    target.cardChange = { ...before, ...change };
    await monitor.check();
    expect(monitor.served).not.toHaveProperty('card');
    expect(monitor.readiness).toMatchObject({ ready: false, reason: expect.stringMatching(reason) });
    target.cardChange = before;
    await monitor.check();
    expect(monitor.readiness).toEqual({ ready: true });
  });

  it('is not ready while two replicas have different models from the start, and names both', async () => {
    const peers = toyPeers('target-service', 2);
    const { monitor } = new ToyPools(peers);
    peers[1]!.modelDigest = 'e'.repeat(64);
    await monitor.check();
    const reason =
      'target replicas serve different models: "toy-target-service" (dddddddddddd) at toy://target-service-0 and ' +
      '"toy-target-service" (eeeeeeeeeeee) at toy://target-service-1';
    expect(monitor.readiness).toEqual({ ready: false, reason });
    peers[1]!.modelDigest = 'd'.repeat(64);
    await monitor.check();
    expect(monitor.readiness).toEqual({ ready: true });
    peers[1]!.modelDigest = 'e'.repeat(64); // what served goes on, and the other one is left out
    await monitor.check();
    expect(monitor.readiness).toEqual({ ready: true });
  });

  it('leaves a draft that is away its card', async () => {
    const { draft, drafts, monitor } = watched();
    await monitor.check();
    hideCard(draft);
    for (let i = 0; i < 3; i++) await monitor.check();
    expect(drafts.card).not.toBeNull();
    expect(monitor.mismatch).toBeNull();
  });
});
