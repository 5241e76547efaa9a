/** What the two sides have cached of a prompt decides what each computes: never a token of the answer, nor a guess without need. */
import { PeerError } from '@forerunner/service-kit';
import { describe, expect, it } from 'vitest';
import { HIDDEN_WIDTH, mixed, ToyPeer, toyModel } from './toy-peers.ts';
import { sampling, ToyTrio } from './toy-trio.ts';

const p = toyModel(1, 3);
const q = mixed(p, toyModel(2, 3), 0.7);
const CONTEXT = { context_length: 4096 };

type Kind = 'classic' | 'feature';

function trioOf(kind: Kind, { keepsPrefixes = true } = {}): ToyTrio {
  const [target, draft] = [new ToyPeer('target-service', p), new ToyPeer('draft-service', q)];
  for (const peer of [target, draft]) peer.keepsPrefixes = keepsPrefixes;
  if (kind === 'feature') draft.featureModel = (text, feature) => q(Int32Array.of(feature[0]!, text.at(-1)!));
  draft.cardChange = CONTEXT;
  return new ToyTrio(target, draft);
}

const promptOf = (length: number, first = 3) =>
  Int32Array.from({ length }, (_, i) => (i === 0 ? first : 1 + ((i * i + 3 * i) % 15)));

async function ask(trio: ToyTrio, promptTokenIds: Int32Array, change: object = {}) {
  const numCalls = { target: trio.target.newTokensPerCall.length, draft: trio.draft.newTokensPerCall.length };
  const numRows = trio.target.numHiddenStatesPerCall.length;
  const { output, statistics, rounds } = await trio.generate({
    promptTokenIds,
    sampling: sampling({ temperature: 0, output_start: promptTokenIds.length }),
    maxNewTokens: 40,
    stopTokenIds: [],
    ...change,
  });
  return {
    tokenIds: output.tokenIds,
    speculation: statistics.speculative_decoding,
    numReused: rounds[0]!.numReusedTokens,
    /** Tokens that each side had to compute, call by call. */
    byTarget: trio.target.newTokensPerCall.slice(numCalls.target),
    byDraft: trio.draft.newTokensPerCall.slice(numCalls.draft),
    numHiddenStates: trio.target.numHiddenStatesPerCall.slice(numRows),
  };
}
type Answer = Awaited<ReturnType<typeof ask>>;

const withoutReuse = (kind: Kind, prompt: Int32Array, change: object = {}) =>
  ask(trioOf(kind, { keepsPrefixes: false }), prompt, change);

/** A chat: each turn's prompt is the last one, its answer and a few tokens more. */
async function chat(
  trio: ToyTrio,
  numTurns: number,
  firstLength: number,
): Promise<{ prompt: Int32Array; answer: Answer }[]> {
  const turns = [];
  let prompt = promptOf(firstLength);
  for (let turn = 0; turn < numTurns; turn++) {
    const answer = await ask(trio, prompt);
    turns.push({ prompt, answer });
    prompt = Int32Array.from([...prompt, ...answer.tokenIds, 2 + turn, 7, 4]);
  }
  return turns;
}

describe.each(['classic', 'feature'] as const)('a prompt that comes again, with a %s draft', (kind) => {
  it('is computed by neither side, and gets the same guesses and the same answer', async () => {
    const trio = trioOf(kind);
    const prompt = promptOf(300);
    const first = await ask(trio, prompt);
    expect([first.numReused, first.byTarget[0]]).toEqual([0, 300]);
    for (let i = 0; i < 2; i++) {
      const again = await ask(trio, prompt);
      expect([again.numReused, again.byTarget[0]]).toEqual([299, 1]);
      expect(Math.max(...again.byDraft)).toBeLessThanOrEqual(6);
      expect(again.tokenIds).toEqual(first.tokenIds);
      expect(again.speculation).toEqual(first.speculation);
    }
    expect(first.tokenIds).toEqual((await withoutReuse(kind, prompt)).tokenIds);
    expect(first.speculation).toEqual((await withoutReuse(kind, prompt)).speculation);
  });

  it('grows from turn to turn of a chat, and only what is new is computed', async () => {
    for (const { prompt, answer } of (await chat(trioOf(kind), 5, 200)).slice(1)) {
      expect(answer.byTarget[0]).toBeLessThanOrEqual(3 + 5 + 1); // new tokens, the last proposal, the last token
      expect(Math.max(...answer.byDraft)).toBeLessThanOrEqual(3 + 5 + 6);
      const fresh = await withoutReuse(kind, prompt);
      expect(answer.tokenIds).toEqual(fresh.tokenIds);
      expect(answer.speculation).toEqual(fresh.speculation);
    }
  });

  it('changes no token when either side lost it, or dies in between', async () => {
    const prompt = promptOf(300);
    const expected = (await withoutReuse(kind, prompt)).tokenIds;
    for (const lost of [['target'], ['draft'], ['target', 'draft']] as const) {
      const trio = trioOf(kind);
      await ask(trio, prompt);
      for (const side of lost) trio[side].loseSequences();
      expect((await ask(trio, prompt)).tokenIds).toEqual(expected);
    }
    for (const side of ['target', 'draft'] as const) {
      const trio = trioOf(kind);
      await ask(trio, prompt);
      const numBefore = trio[side].numCalls;
      trio[side].faults = (call, peer) => {
        if ((call - numBefore) % 3 !== 1) return null;
        peer.loseSequences();
        return side === 'draft' ? new PeerError('unreachable', 'ECONNREFUSED') : null;
      };
      expect((await ask(trio, prompt)).tokenIds).toEqual(expected);
    }
  });
});

describe('a feature draft', () => {
  const prompt = promptOf(300);

  it('gets hidden states of what it lacks, and no others', async () => {
    const trio = trioOf('feature');
    expect((await ask(trio, prompt)).numHiddenStates[0]).toBe(300);
    expect((await ask(trio, prompt)).numHiddenStates[0]).toBe(1);
    trio.target.loseSequences();
    const again = await ask(trio, prompt);
    expect([again.byTarget[0], again.numHiddenStates[0]]).toEqual([300, 1]);
  });

  it('that lost what the target kept begins in the middle: the target computes nothing twice', async () => {
    const trio = trioOf('feature');
    await ask(trio, prompt);
    trio.draft.loseSequences();
    const again = await ask(trio, prompt);
    expect([again.numReused, again.byTarget[0], again.byDraft[0]]).toEqual([299, 1, 1]);
    expect(again.speculation.num_accepted_tokens).toBeGreaterThan(10);
    expect(again.speculation.num_degraded_rounds).toBe(0);
  });

  it.each([
    ['a short text', 120, 120],
    ['less than it kept', 300, 120],
  ])('that lost %s gets it again: the target computes it once more', async (_what, length, numLost) => {
    const trio = trioOf('feature');
    await ask(trio, promptOf(length));
    trio.draft.loseSequences();
    // The draft reads the beginning again, with another target.
    const elsewhere = new ToyTrio(new ToyPeer('target-service', p), trio.draft);
    if (length > numLost) await ask(elsewhere, promptOf(length - numLost), { maxNewTokens: 3 });
    const again = await ask(trio, promptOf(length));
    expect(again.tokenIds).toEqual((await withoutReuse('feature', promptOf(length))).tokenIds);
    expect(again.speculation).toEqual((await withoutReuse('feature', promptOf(length))).speculation);
    expect(again.byTarget[0]).toBeGreaterThanOrEqual(numLost - 1);
    expect(again.byTarget[0]).toBeLessThanOrEqual(numLost + 1);
  });

  it('shares with no text that is another before its own beginning', async () => {
    const trio = trioOf('feature');
    await ask(trio, promptOf(300, 3));
    const other = await ask(trio, promptOf(300, 4)); // differs in the one token that the draft never sees
    expect([other.numReused, other.byDraft[0]]).toEqual([0, 300]);
  });

  it('is asked nothing of a text that is too short to be kept', async () => {
    const trio = trioOf('feature');
    await ask(trio, promptOf(16), { maxNewTokens: 3 });
    expect(trio.draft.numCalls).toBe(1);
  });

  it('that does not answer what it has is waited for but a moment, and given its text anew', async () => {
    const trio = trioOf('feature');
    await ask(trio, prompt);
    const numBefore = trio.draft.numCalls;
    trio.draft.faults = (call) => (call === numBefore ? new PeerError('timeout', 'too slow') : null);
    trio.target.loseSequences();
    const again = await ask(trio, prompt);
    expect(again.byDraft[0]).toBe(300);
    expect(again.speculation).toEqual((await withoutReuse('feature', prompt)).speculation);
  });
});

describe('a text that is longer than the window of hidden states', () => {
  const windowed = (numRows: number, options = {}) => {
    const trio = trioOf('feature', options);
    trio.maxWindowBytes = 2 * HIDDEN_WIDTH * numRows;
    return trio;
  };

  it('is reused from where the draft began', async () => {
    const trio = windowed(100);
    const prompt = promptOf(330);
    const first = await ask(trio, prompt);
    expect([first.byTarget[0], first.numHiddenStates[0]]).toEqual([330, 80]); // 230 on the grid of 25 is 250
    const again = await ask(trio, prompt);
    expect([again.numReused, again.numHiddenStates[0]]).toEqual([329, 1]);
    expect(Math.max(...again.byDraft)).toBeLessThanOrEqual(6);
    expect([again.tokenIds, again.speculation]).toEqual([first.tokenIds, first.speculation]);
    const fresh = await ask(windowed(100, { keepsPrefixes: false }), prompt);
    expect([fresh.tokenIds, fresh.speculation]).toEqual([first.tokenIds, first.speculation]);
  });

  it('that fitted at first keeps its beginning, however long the chat becomes', async () => {
    const turns = await chat(windowed(100), 8, 60);
    expect(turns.at(-1)!.prompt.length).toBeGreaterThan(300);
    for (const { prompt, answer } of turns.slice(1)) {
      expect(answer.byTarget[0]).toBeLessThanOrEqual(9);
      expect(Math.max(...answer.byDraft)).toBeLessThanOrEqual(14);
      expect(answer.tokenIds).toEqual((await withoutReuse('feature', prompt)).tokenIds);
    }
  });

  it('says what the target alone says, whatever the window', async () => {
    for (const numRows of [1, 2, 3, 5, 17, 64, 299, 300, 301]) {
      const trio = windowed(numRows);
      for (const { prompt, answer } of await chat(trio, 3, 300)) {
        const alone = await ask(trioOf('feature'), prompt, { numSpeculativeTokens: 0 });
        expect(answer.tokenIds).toEqual(alone.tokenIds);
      }
    }
  });
});
