/** The distribution of sampled answers over the whole loop, messages included, against the target's exact distribution. */
import { CounterRng, STREAM } from '@forerunner/sampling';
import { describe, expect, it } from 'vitest';
import { chiSquare, NUM_ANSWERS } from './chi-square.ts';
import { HIDDEN_WIDTH, mixed, ToyPeer, toyModel, VOCAB_SIZE } from './toy-peers.ts';
import { ToyTrio } from './toy-trio.ts';

const p = toyModel(1, 3);
/** Opposed to the target, so that most drafts are refused and most tokens come from the residual. */
const q = mixed(p, toyModel(5, 4), 0.15);

const trioOf = () => new ToyTrio(new ToyPeer('target-service', p), new ToyPeer('draft-service', q));

/** A draft that guesses from the feature, which is noise: no two answers, not even two calls, see the same. */
function noisyFeatureTrio(): ToyTrio {
  const trio = trioOf();
  const noise = new CounterRng(7);
  let numRows = 0;
  trio.target.distortHiddenStates = (row) => row.map(() => Math.floor(16 * noise.uniform(STREAM.draftDraw, numRows++)));
  trio.draft.featureModel = (text, feature) => q(Int32Array.of(feature[0]!, text.at(-1)!));
  return trio;
}

describe.each([
  ['a classic draft, most of whose guesses are refused', trioOf],
  ['a feature draft that reads noise', noisyFeatureTrio],
])('the joint distribution of sampled tokens, with %s', (_what, open) => {
  it("is the target's", async () => {
    const { statistic, limit } = await chiSquare(open(), p, { verification: 'rejection' });
    expect(statistic).toBeLessThan(limit);
  });

  it('would not be if the draft lied about its distribution (negative control)', async () => {
    const trio = open();
    trio.draft.claimedModel = toyModel(9, 2, 0.001);
    const { statistic, limit } = await chiSquare(trio, p, { verification: 'rejection' });
    expect(statistic).toBeGreaterThan(limit);
  });
});

describe('the joint distribution of sampled tokens', () => {
  it.each(['block', 'coupled'] as const)("is the target's with %s verification", async (verification) => {
    const { statistic, limit } = await chiSquare(trioOf(), p, { verification });
    expect(statistic).toBeLessThan(limit);
  });

  it('of coupled draws would not be, if the target drew from another model (negative control)', async () => {
    const { statistic, limit } = await chiSquare(trioOf(), mixed(p, q, 0.8), { verification: 'coupled' });
    expect(statistic).toBeGreaterThan(limit);
  });

  it("is the target's when a feature draft's text and its hidden states' beginning are lost again and again", async () => {
    const trio = noisyFeatureTrio();
    trio.maxWindowBytes = 3 * 2 * HIDDEN_WIDTH; // three rows
    trio.draft.faults = (call, peer) => {
      if (call % 3 === 2) peer.loseSequences();
      return null;
    };
    trio.target.faults = (call, peer) => {
      if (call % 5 === 3) peer.loseSequences();
      return null;
    };
    const { statistic, limit } = await chiSquare(trio, p, { verification: 'rejection' });
    expect(statistic).toBeLessThan(limit);
    expect(trio.draft.numCalls).toBeGreaterThan(1.5 * NUM_ANSWERS); // it was asked, and asked again
  });

  it('never depends on distributions that make no sense: such a draft is left out', async () => {
    const trio = trioOf();
    trio.draft.claimedModel = () => new Float32Array(VOCAB_SIZE).fill(Number.NaN);
    const verification = 'rejection';
    const { output, statistics } = await trio.generate({ seed: 1, verification });
    const alone = await trioOf().generate({ seed: 1, verification, numSpeculativeTokens: 0 });
    expect(output.tokenIds).toEqual(alone.output.tokenIds);
    expect(statistics.speculative_decoding.num_drafts).toBe(0);
  });

  it('is reproduced token by token by its seed', async () => {
    for (const seed of [1, 2, 3]) {
      const [a, b] = await Promise.all([trioOf().generate({ seed }), trioOf().generate({ seed })]);
      expect(a.output.tokenIds).toEqual(b.output.tokenIds);
    }
    const [a, b] = [await trioOf().generate({ seed: 1 }), await trioOf().generate({ seed: 2 })];
    expect(a.output.tokenIds).not.toEqual(b.output.tokenIds);
  });
});
