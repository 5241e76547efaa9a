/** A draft that joins an answer under way, and one kind of draft in place of the other: acceptance changes, never the text. */
import { encodeFrame, type Frame, flattenFrame } from '@forerunner/protocol';
import { describe, expect, it } from 'vitest';
import { CardDraftSession } from '../src/drafting/card-draft-session.ts';
import type { RoundRecord } from '../src/generation/round.ts';
import { HIDDEN_WIDTH, mixed, ToyPeer, toyModel } from './toy-peers.ts';
import { sampling, ToyTrio } from './toy-trio.ts';

const p = toyModel(1, 3);
const q = mixed(p, toyModel(2, 3), 0.7);

const hiddenStates = { name: 'last_hidden_state', width: HIDDEN_WIDTH, dtype: 'float16', target_digest: null } as const;
const cards = {
  classic: {},
  feature: { hidden_states_wanted: hiddenStates },
  misfit: { tokenizer_fingerprint: 'e'.repeat(64) },
};
type Kind = 'classic' | 'feature';

/** Notes what it is asked, sequence ids aside. */
class NotingPeer extends ToyPeer {
  readonly messages: Record<string, unknown>[] = [];
  readonly sequenceIds = new Set<unknown>();

  override async postFrame(path: string, frame: Frame): Promise<Uint8Array> {
    const { sequence_id, ...message } = flattenFrame(encodeFrame(frame));
    this.messages.push(message);
    this.sequenceIds.add(sequence_id);
    return super.postFrame(path, frame);
  }
}

interface Plan {
  /** The draft at the start; absent: none. */
  readonly first?: Kind;
  /** Call of the target during which a draft of this kind comes, in place of the one before. */
  readonly arrivals?: ReadonlyMap<number, Kind | null>;
  /** Opens the session of the draft's kind itself, not by its card. */
  readonly isPlain?: boolean;
  readonly temperature?: number;
  readonly numPromptTokens?: number;
  readonly numSpeculativeTokens?: number;
}

async function answer(plan: Plan) {
  const target = new NotingPeer('target-service', p);
  const draft = new NotingPeer('draft-service', q);
  const trio = new ToyTrio(target, draft);
  target.cardChange = { hidden_states_offered: hiddenStates };
  const install = async (kind: Kind | null) => {
    draft.loseSequences();
    // A draft that reads hidden states fails loudly when it gets none.
    draft.featureModel = kind === 'feature' ? (text, feature) => q(Int32Array.of(feature[0]!, text.at(-1)!)) : null;
    draft.cardChange = cards[kind ?? 'misfit'];
    await trio.pools.check();
  };
  await install(plan.first ?? null);
  target.faults = async (call) => {
    const kind = plan.arrivals?.get(call);
    if (kind !== undefined) await install(kind);
    return null;
  };

  const promptTokenIds = Int32Array.from({ length: plan.numPromptTokens ?? 2 }, (_, i) => 1 + ((2 + 2 * i) % 15));
  if (!plan.isPlain) {
    trio.openDraft = (context) => new CardDraftSession(trio.drafts, context, { maxWindowBytes: trio.maxWindowBytes });
  }
  const { output, rounds, statistics } = await trio.generate({
    promptTokenIds,
    sampling: sampling({ temperature: plan.temperature ?? 0, output_start: promptTokenIds.length }),
    maxNewTokens: 40,
    numSpeculativeTokens: plan.numSpeculativeTokens ?? 3,
  });
  return { tokenIds: output.tokenIds, rounds, speculation: statistics.speculative_decoding, draft, target };
}

const targetAlone = async (plan: Plan = {}) => (await answer({ ...plan, numSpeculativeTokens: 0 })).tokenIds;
const numAccepted = (rounds: RoundRecord[]) => rounds.reduce((sum, round) => sum + round.numAcceptedTokens, 0);

describe('a draft that joins late', () => {
  it.each(['classic', 'feature'] as const)('helps from then on, as a %s draft, and changes no token', async (kind) => {
    for (const call of [0, 1, 2, 7]) {
      const { tokenIds, rounds, speculation } = await answer({ arrivals: new Map([[call, kind]]) });
      expect(tokenIds).toEqual(await targetAlone());
      // Round by round: one call of the target each.
      expect(numAccepted(rounds.slice(0, call + 1))).toBe(0);
      expect(numAccepted(rounds.slice(call + 1))).toBeGreaterThan(5);
      // The target's next pass brings the first feature: one round more without a guess.
      expect(speculation.num_degraded_rounds).toBe(kind === 'classic' ? call : call + 1);
    }
  });

  it('costs no hidden states before', async () => {
    const { target } = await answer({ arrivals: new Map([[7, 'feature']]) });
    const wanted = target.messages.map((message) => message.include_hidden_states);
    expect(wanted.slice(0, 8)).toEqual(Array(8).fill(false));
    expect(new Set(wanted.slice(8))).toEqual(new Set([true]));
  });

  it('is given a text that begins where its hidden states begin', async () => {
    const { draft } = await answer({ arrivals: new Map([[7, 'feature']]), numPromptTokens: 30 });
    expect(draft.newTokensPerCall[0]).toBe(1);
    expect(draft.messages[0]!.position).toBe(0);
  });
});

describe('a draft of the other kind', () => {
  const swaps: [Kind, Kind][] = [
    ['classic', 'feature'],
    ['feature', 'classic'],
  ];

  it.each(swaps)('takes over in the middle, %s before %s, and changes no token', async (first, second) => {
    const { tokenIds, rounds } = await answer({ first, arrivals: new Map([[5, second]]) });
    expect(tokenIds).toEqual(await targetAlone());
    expect(numAccepted(rounds.slice(0, 6))).toBeGreaterThan(0);
    expect(numAccepted(rounds.slice(6))).toBeGreaterThan(0);
  });

  it.each(swaps)(
    'gets a sequence of its own and noise by the places of the one text, %s before %s; the old sequence is freed',
    async (first, second) => {
      const { draft } = await answer({ first, arrivals: new Map([[5, second]]), temperature: 1 });
      expect(draft.sequenceIds.size).toBe(2);
      expect([draft.numFreed, draft.numSequences]).toEqual([2, 0]);
      const proposals = draft.messages.filter((message) => (message.num_speculative_tokens as number) > 0);
      expect(new Set(proposals.map(({ seed }) => seed))).toEqual(new Set([1]));
      expect(new Set(proposals.map(({ noise_offset }) => noise_offset)).size).toBe(2);
      // No place is drawn for in two proposals as the first one, whatever the sessions' own positions are.
      const firstPlaces = proposals.map(
        (message) =>
          (message.position as number) + (message.token_ids as Int32Array).length + (message.noise_offset as number),
      );
      expect(firstPlaces).toEqual([...new Set(firstPlaces)].sort((a, b) => a - b));
    },
  );

  it('does not come with a card that is only withdrawn for a while', async () => {
    const { draft, tokenIds } = await answer({
      first: 'feature',
      arrivals: new Map([
        [3, null],
        [5, 'feature'],
      ]),
    });
    expect(tokenIds).toEqual(await targetAlone());
    expect(draft.sequenceIds.size).toBe(1);
  });
});

describe('a draft that is known from the start', () => {
  it.each(['classic', 'feature'] as const)('is asked what a %s session asks, byte for byte', async (first) => {
    for (const plan of [{}, { temperature: 1 }, { numPromptTokens: 100 }]) {
      const [ours, theirs] = await Promise.all([answer({ ...plan, first }), answer({ ...plan, first, isPlain: true })]);
      expect(ours.draft.messages.length).toBeGreaterThan(5);
      expect(ours.draft.messages).toEqual(theirs.draft.messages);
      expect(ours.target.messages).toEqual(theirs.target.messages);
    }
  });
});
