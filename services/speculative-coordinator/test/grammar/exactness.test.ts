/**
 * Answers that must match a grammar have the target's own distribution over what the grammar allows, whatever the draft
 * guesses: it knows nothing of the grammar.
 */
import { describe, expect, it } from 'vitest';
import type { AnswerGrammar, ConstrainedTokens } from '../../src/generation/grammar/answer-grammar.ts';
import { chiSquare } from '../chi-square.ts';
import { mixed, type ToyModel, ToyPeer, toyModel, VOCAB_SIZE } from '../toy-peers.ts';
import { sampling, ToyTrio } from '../toy-trio.ts';

const PROMPT_LENGTH = 2;
const EOS = 0;
const NUM_ANSWERS = 6000;
const p = toyModel(1, 3, 0.02);
const q = mixed(p, toyModel(5, 4), 0.5);

/** Which tokens may follow a text: a few, by where it stands and what it ends with; one alone at each third place. */
function allowedAfter(answer: readonly number[]): number[] {
  const last = answer.at(-1) ?? 3;
  if (answer.length % 3 === 2) return [1 + ((last * 5) % (VOCAB_SIZE - 1))];
  const ids = Array.from({ length: VOCAB_SIZE }, (_, id) => id);
  return ids.filter((id) => (id === EOS ? answer.length > 4 : (id * 7 + last * 3) % 4 < 2));
}

class ToyGrammar implements AnswerGrammar {
  readonly #answer: number[] = [];
  readonly #dropsForbidden: boolean;

  constructor({ dropsForbidden = false } = {}) {
    this.#dropsForbidden = dropsForbidden;
  }

  commit(tokenId: number): void {
    if (!allowedAfter(this.#answer).includes(tokenId)) throw new Error(`${tokenId} is forbidden`);
    this.#answer.push(tokenId);
  }

  async forcedTokens(maxTokens: number): Promise<Int32Array> {
    const allowed = allowedAfter(this.#answer);
    return Int32Array.from(allowed.length === 1 ? allowed.slice(0, maxTokens) : []);
  }

  async constrain(guesses: Int32Array, maxTokens: number): Promise<ConstrainedTokens> {
    const text = [...this.#answer];
    const masks: number[] = [];
    const forced: number[] = [];
    let numGuesses = 0;
    for (;;) {
      const allowed = allowedAfter(text);
      masks.push(allowed.reduce((bits, id) => bits | (1 << id), 0));
      const isGuess = numGuesses < guesses.length;
      const next = isGuess ? guesses[numGuesses]! : allowed.length === 1 ? allowed[0]! : null;
      if (next === null || numGuesses + forced.length >= maxTokens) break;
      if (!allowed.includes(next) && this.#dropsForbidden) break;
      if (isGuess) numGuesses++;
      else forced.push(next);
      if (!allowed.includes(next) || next === EOS) break;
      text.push(next);
    }
    return { numGuesses, forcedTokenIds: Int32Array.from(forced), allowedTokens: Int32Array.from(masks) };
  }

  close(): void {}
}

/** The target's distribution, over what is allowed. */
const masked: ToyModel = (text) => {
  const allowed = allowedAfter([...text.subarray(PROMPT_LENGTH)]);
  const probs = p(text).map((x, id) => (allowed.includes(id) ? x : 0));
  const total = probs.reduce((sum, x) => sum + x, 0);
  return probs.map((x) => x / total);
};

const trioOf = () => new ToyTrio(new ToyPeer('target-service', p), new ToyPeer('draft-service', q));
const openGrammar = () => new ToyGrammar();

describe('sampled answers under a grammar', () => {
  it.each(['coupled', 'rejection', 'block'] as const)(
    "have the target's distribution over it: %s",
    async (verification) => {
      const { statistic, limit } = await chiSquare(trioOf(), masked, { openGrammar, verification }, NUM_ANSWERS);
      expect(statistic).toBeLessThan(limit);
    },
  );

  it('would not have it if forbidden guesses were dropped, not refused (negative control)', async () => {
    const drops = () => new ToyGrammar({ dropsForbidden: true });
    const change = { openGrammar: drops, verification: 'rejection' } as const;
    const { statistic, limit } = await chiSquare(trioOf(), masked, change, NUM_ANSWERS);
    expect(statistic).toBeGreaterThan(limit);
  });

  it('would not have it without the mask (negative control)', async () => {
    const { statistic, limit } = await chiSquare(trioOf(), masked, {}, NUM_ANSWERS);
    expect(statistic).toBeGreaterThan(limit);
  });
});

describe('seeded answers under a grammar', () => {
  it('are the same with and without a draft, and with any draft', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const alone = await trioOf().generate({ openGrammar, seed, numSpeculativeTokens: 0 });
      const drafted = await trioOf().generate({ openGrammar, seed });
      const other = await new ToyTrio(new ToyPeer('target-service', p), new ToyPeer('draft-service', p)).generate({
        openGrammar,
        seed,
      });
      expect(drafted.output.tokenIds).toEqual(alone.output.tokenIds);
      expect(other.output.tokenIds).toEqual(alone.output.tokenIds);
    }
  });
});

describe('greedy answers under a grammar', () => {
  it('are the same with and without a draft, forced tokens and all', async () => {
    const greedy = { sampling: sampling({ temperature: 0 }), maxNewTokens: 40, openGrammar };
    for (let seed = 1; seed <= 20; seed++) {
      const promptTokenIds = Int32Array.of(seed % 15, 1 + (seed % 7));
      const alone = await trioOf().generate({ ...greedy, promptTokenIds, numSpeculativeTokens: 0 });
      const drafted = await trioOf().generate({ ...greedy, promptTokenIds });
      expect(drafted.output.tokenIds).toEqual(alone.output.tokenIds);
      expect(drafted.statistics.speculative_decoding.num_accepted_forced_tokens).toBeGreaterThan(0);
    }
  });

  it('count forced tokens apart from the draft', async () => {
    const { rounds, output } = await trioOf().generate({ openGrammar, maxNewTokens: 30, seed: 4 });
    const numForced = output.provenance.filter((one) => one === 'forced').length;
    expect(numForced).toBe(rounds.reduce((sum, round) => sum + round.numAcceptedForcedTokens, 0));
    expect(numForced).toBeGreaterThan(0);
    const numAccepted = output.provenance.filter((one) => one === 'accepted').length;
    expect(numAccepted).toBe(rounds.reduce((sum, round) => sum + round.numAcceptedTokens, 0));
  });
});

describe('a grammar with no way on', () => {
  it('ends the answer with an error, and not with a token of any kind', async () => {
    const deadEnd: AnswerGrammar = {
      commit: () => {},
      forcedTokens: async () => new Int32Array(0),
      constrain: async () => ({ numGuesses: 0, forcedTokenIds: new Int32Array(0), allowedTokens: new Int32Array(0) }),
      close: () => {},
    };
    await expect(trioOf().generate({ openGrammar: () => deadEnd })).rejects.toMatchObject({
      code: 'unsupported_value',
    });
  });
});
