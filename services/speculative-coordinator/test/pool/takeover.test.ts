/** Another draft takes over in mid-answer: guesses come from it, the text is the target's, and nothing is left behind. */
import { PeerError } from '@forerunner/service-kit';
import { describe, expect, it } from 'vitest';
import { mixed, ToyPeer, toyModel } from '../toy-peers.ts';
import { sampling, ToyTrio } from '../toy-trio.ts';

const p = toyModel(1, 3);
const q = mixed(p, toyModel(2, 3), 0.7);

interface Plan {
  readonly isFeature: boolean;
  /** The draft in use fails at its so-manieth call; absent: none does. */
  readonly failsAt?: number;
  readonly kind?: 'timeout' | 'unreachable';
  readonly numPromptTokens: number;
}

async function answer({ isFeature, failsAt, kind = 'unreachable', numPromptTokens }: Plan) {
  const drafts = [0, 1].map((i) => new ToyPeer('draft-service', q, `toy://draft-${i}`));
  let lost: ToyPeer | null = null;
  for (const draft of drafts) {
    if (isFeature) draft.featureModel = (text, feature) => q(Int32Array.of(feature[0]!, text.at(-1)!));
    draft.faults = (call) => {
      if (call === failsAt) lost ??= draft;
      return draft === lost ? new PeerError(kind, 'gone') : null;
    };
  }
  const trio = new ToyTrio(new ToyPeer('target-service', p), drafts[0]!, [drafts[1]!]);
  const promptTokenIds = Int32Array.from({ length: numPromptTokens }, (_, i) => 1 + ((2 + 3 * i * i) % 15));
  const { output, rounds, statistics } = await trio.generate({
    promptTokenIds,
    sampling: sampling({ temperature: 0, output_start: numPromptTokens }),
    maxNewTokens: 60,
    stopTokenIds: [],
    numSpeculativeTokens: 3,
  });
  const other = drafts.find((draft) => draft !== lost)!;
  return { trio, drafts, lost, other, tokenIds: output.tokenIds, rounds, speculation: statistics.speculative_decoding };
}

describe.each([
  ['classic', false],
  ['feature', true],
] as const)('of two %s drafts', (_kind, isFeature) => {
  it.each([
    [0, 3],
    [4, 3],
    [4, 200],
    [9, 200],
  ])('the other one takes over from call %i on, after a prompt of %i tokens', async (failsAt, numPromptTokens) => {
    const right = await answer({ isFeature, numPromptTokens });
    const { tokenIds, rounds, other, lost, trio, drafts, speculation } = await answer({
      isFeature,
      failsAt,
      numPromptTokens,
    });
    expect(tokenIds).toEqual(right.tokenIds);
    expect(lost).not.toBeNull();
    expect(other.numCalls).toBeGreaterThan(5);
    const lastLost = rounds.findLastIndex(({ proposal }) => proposal === 'unavailable' || proposal === 'warming');
    expect(rounds.slice(lastLost + 1).length).toBeGreaterThan(3);
    expect(speculation.num_degraded_rounds).toBeLessThan(8);
    expect(trio.pools.events.moved.mock.calls).toEqual([['draft']]);
    expect(other.numSequences).toBe(0);
    expect(trio.drafts.pool.all.map(({ numRunning }) => numRunning)).toEqual(drafts.map(() => 0));
  });

  it('one is used while nothing fails, and each text goes to the same', async () => {
    const { drafts, trio } = await answer({ isFeature, numPromptTokens: 40 });
    expect(drafts.filter(({ numCalls }) => numCalls > 0)).toHaveLength(1);
    expect(trio.pools.events.moved).not.toHaveBeenCalled();
  });
});
