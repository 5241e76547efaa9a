import { PeerError } from '@forerunner/service-kit';
import { describe, expect, it } from 'vitest';
import { HiddenStateWindow } from '../src/drafting/hidden-state-window.ts';
import { JoinedSession } from '../src/drafting/joined-session.ts';
import { HIDDEN_WIDTH, mixed, ToyPeer, toyModel } from './toy-peers.ts';
import { sampling, ToyTrio } from './toy-trio.ts';

const p = toyModel(1, 3);
const q = mixed(p, toyModel(2, 3), 0.7);
const greedy = { sampling: sampling({ temperature: 0 }), maxNewTokens: 40 };
const ROW_BYTES = 2 * HIDDEN_WIDTH;

/** A feature draft's text lacks the first token, but a feature tells the one before: it guesses from the feature. */
function featureTrio(): ToyTrio {
  const draft = new ToyPeer('draft-service', q);
  draft.featureModel = (text, feature) => q(Int32Array.of(feature[0]!, text.at(-1)!));
  return new ToyTrio(new ToyPeer('target-service', p), draft);
}

const aloneTokens = async () => (await featureTrio().generate({ ...greedy, numSpeculativeTokens: 0 })).output.tokenIds;

describe('a feature draft', () => {
  it.each([1, 2, 3, 5])('says what the target alone says, for k = %i, and guesses by its hidden states', async (k) => {
    const { output, statistics } = await featureTrio().generate({ ...greedy, numSpeculativeTokens: k });
    expect(output.tokenIds).toEqual(await aloneTokens());
    // A classic draft of the same distribution sees by the text what this one sees by its hidden states: the guesses are the same.
    const classic = new ToyTrio(new ToyPeer('target-service', p), new ToyPeer('draft-service', q));
    const reference = await classic.generate({ ...greedy, numSpeculativeTokens: k });
    expect(statistics.speculative_decoding).toEqual(reference.statistics.speculative_decoding);
    expect(statistics.speculative_decoding.num_accepted_tokens).toBeGreaterThan(0);
  });

  it('gets the text shifted by one, with one true feature for every new token', async () => {
    const trio = featureTrio();
    await trio.generate({ ...greedy, promptTokenIds: Int32Array.of(3, 5, 7), numSpeculativeTokens: 1 });
    // Prompt and first token, less the very first: three. Afterwards one or two tokens a round.
    expect(trio.draft.newTokensPerCall[0]).toBe(3);
    expect(Math.max(...trio.draft.newTokensPerCall.slice(1))).toBeLessThanOrEqual(2);
  });

  it('is not asked while a text guesses, and catches up in the one call that asks it again', async () => {
    const right = await aloneTokens();
    // What the client predicts is wrong at every eighth token.
    const predictionTokenIds = Int32Array.from(right, (id, i) => (i % 8 === 7 ? (id % 14) + 1 : id));
    const trio = featureTrio();
    trio.draft.featureModel = (text, feature) => p(Int32Array.of(feature[0]!, text.at(-1)!));
    const open = trio.openDraft;
    const texts = { numPromptTokens: 2, promptLookup: false, maxTextTokens: 4, predictionTokenIds };
    trio.openDraft = (context) => new JoinedSession(open(context), texts);
    const { output, rounds, statistics } = await trio.generate({ ...greedy, numSpeculativeTokens: 1 });
    expect(output.tokenIds).toEqual(right);
    const numOf = (origin: string) => rounds.filter((round) => round.origin === origin).length;
    expect(numOf('draft')).toBeGreaterThan(3);
    expect(numOf('prediction')).toBeGreaterThan(3);
    expect(trio.draft.numCalls).toBe(numOf('draft'));
    expect(Math.max(...trio.draft.newTokensPerCall)).toBeGreaterThan(4);
    const { num_degraded_rounds, by_source } = statistics.speculative_decoding;
    expect(num_degraded_rounds).toBe(0);
    // This draft is its target: each of its guesses is kept, but only while it knows where it is.
    expect(by_source.draft.num_accepted_tokens).toBe(by_source.draft.num_draft_tokens);
  });

  it('gets the true hidden states of accepted guesses, too: what it estimated for them is not kept', async () => {
    const trio = featureTrio();
    const { statistics } = await trio.generate({ ...greedy, numSpeculativeTokens: 3 });
    const { num_accepted_tokens, num_drafts } = statistics.speculative_decoding;
    expect(num_accepted_tokens).toBeGreaterThan(num_drafts); // else hardly any were cached
    const [prompt, ...later] = trio.draft.newTokensPerCall;
    // Each later call brings the follow token of the round before and every guess that it kept, the last round's aside.
    const numSent = later.reduce((sum, count) => sum + count, 0);
    expect(numSent).toBeGreaterThanOrEqual(num_drafts - 1 + num_accepted_tokens - 3);
    expect(prompt! + numSent).toBeLessThanOrEqual(greedy.maxNewTokens + prompt!);
  });

  it('says the same whatever the hidden states hold', async () => {
    const trio = featureTrio();
    trio.target.distortHiddenStates = (row) => row.map((_, i) => (i * 7 + row[2]! * 3) % 15);
    const { output, statistics } = await trio.generate(greedy);
    expect(output.tokenIds).toEqual(await aloneTokens());
    const undistorted = await featureTrio().generate(greedy);
    const accepted = (result: { statistics: typeof statistics }) =>
      result.statistics.speculative_decoding.num_accepted_tokens;
    expect(accepted({ statistics })).toBeLessThan(accepted(undistorted)); // the noise did arrive
  });

  it('that loses its text gets the hidden states again, and changes no token', async () => {
    const trio = featureTrio();
    trio.draft.faults = (call, peer) => {
      if (call % 4 === 3) peer.loseSequences();
      return null;
    };
    const { output, statistics } = await trio.generate(greedy);
    expect(output.tokenIds).toEqual(await aloneTokens());
    expect(statistics.speculative_decoding.num_degraded_rounds).toBe(0);
  });

  it('begins in the middle of the text when the window is short', async () => {
    const trio = featureTrio();
    trio.maxWindowBytes = 6 * ROW_BYTES;
    trio.draft.faults = (call, peer) => {
      if (call === 8) peer.loseSequences();
      return null;
    };
    const { output, statistics } = await trio.generate({ ...greedy, numSpeculativeTokens: 2 });
    expect(output.tokenIds).toEqual(await aloneTokens());
    expect(statistics.speculative_decoding.num_drafts).toBeGreaterThan(10);
    const resent = trio.draft.newTokensPerCall.slice(8);
    expect(Math.max(...resent)).toBeLessThanOrEqual(7);
  });

  it('that dies and comes back changes no token', async () => {
    const trio = featureTrio();
    trio.draft.faults = (call, peer) => {
      if (call < 3 || call > 5) return null;
      peer.loseSequences();
      return new PeerError('unreachable', 'ECONNREFUSED');
    };
    const { output } = await trio.generate(greedy);
    expect(output.tokenIds).toEqual(await aloneTokens());
  });

  it('survives a target that forgets, and so resends hidden states', async () => {
    const trio = featureTrio();
    trio.target.faults = (call, peer) => {
      if (call === 4) peer.loseSequences();
      return null;
    };
    const { output } = await trio.generate(greedy);
    expect(output.tokenIds).toEqual(await aloneTokens());
  });

  it('asks no more, and is not degraded, when the text has outgrown the draft', async () => {
    const trio = featureTrio();
    const full = () => new PeerError('refused', 'the context is full', 'context_length_exceeded');
    trio.draft.faults = (call) => (call >= 3 ? full() : null);
    const promptTokenIds = Int32Array.from({ length: 80 }, (_, i) => 1 + (i % 14));
    const { statistics } = await trio.generate({ ...greedy, promptTokenIds });
    expect(trio.draft.numCalls).toBe(4);
    expect(statistics.speculative_decoding.num_degraded_rounds).toBe(0);
  });

  it('is given only the end of a long prompt', async () => {
    const trio = featureTrio();
    trio.maxWindowBytes = 8 * ROW_BYTES;
    const promptTokenIds = Int32Array.from({ length: 40 }, (_, i) => 1 + (i % 14));
    const { output } = await trio.generate({ ...greedy, promptTokenIds });
    const alone = await featureTrio().generate({ ...greedy, promptTokenIds, numSpeculativeTokens: 0 });
    expect(output.tokenIds).toEqual(alone.output.tokenIds);
    expect(trio.target.newTokensPerCall[0]).toBe(40);
    expect(trio.target.numHiddenStatesPerCall[0]).toBe(8); // no more than the window holds come at all
    expect(trio.draft.newTokensPerCall[0]).toBeLessThanOrEqual(9);
  });
});

describe('the window of hidden states', () => {
  const rows = (from: number, to: number) =>
    Float16Array.from({ length: 2 * (to - from) }, (_, i) => from + Math.floor(i / 2));

  it('gives back the latest rows and forgets the oldest', () => {
    const window = new HiddenStateWindow(2, 10 * 4);
    for (let position = 0; position < 100; position += 3) window.append(position, rows(position, position + 3));
    expect(window.end).toBe(102);
    expect(window.slice(95, 98)).toEqual(rows(95, 98));
    expect(window.slice(window.firstUsable, 102)).toEqual(rows(92, 102));
    expect(window.slice(91, 102)).toBeNull();
    expect(window.slice(100, 103)).toBeNull();
  });

  it('overwrites what comes again and begins anew after a gap', () => {
    const window = new HiddenStateWindow(2, 1000);
    window.append(0, rows(0, 8));
    window.append(5, rows(50, 52));
    expect(window.end).toBe(7);
    expect(window.slice(4, 7)).toEqual(Float16Array.of(4, 4, 50, 50, 51, 51));
    window.append(9, rows(9, 11));
    expect([window.firstUsable, window.end]).toEqual([9, 11]);
  });
});
