/** Guesses from texts: where the answer follows one, where it leaves it, who is asked, and the distribution of the answer. */
import { TokenPrefix } from '@forerunner/protocol';
import { IncrementalDecoder } from '@forerunner/tokenizer';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Admission } from '../src/admission.ts';
import { type DraftLengthPolicy, RoundLengths } from '../src/drafting/draft-length.ts';
import type { DraftSession, ProposeResult } from '../src/drafting/draft-session.ts';
import { JoinedSession, type TextGuesses } from '../src/drafting/joined-session.ts';
import { Generation } from '../src/generation/generation.ts';
import { RoundObserver } from '../src/generation/round-observer.ts';
import { TrafficMeter } from '../src/generation/traffic-meter.ts';
import type { VerificationRule } from '../src/generation/verification/rule.ts';
import { CoupledRule } from '../src/generation/verification/target-tokens.ts';
import { VerdictRule } from '../src/generation/verification/verdict.ts';
import { type CoordinatorMetrics, createMetrics } from '../src/metrics.ts';
import { TargetSequence } from '../src/pair/target-sequence.ts';
import { fitOfThree } from './chi-square.ts';
import { ToyPeer, toyModel } from './toy-peers.ts';
import { ToyPools } from './toy-pools.ts';
import { sampling, ToyTrio, toyText } from './toy-trio.ts';

/** A draft that says what it is told to, and notes that it was asked. */
class ToyDraft implements DraftSession {
  numAsked = 0;
  numSettled = 0;
  readonly #reply: ProposeResult;
  constructor(reply: ProposeResult = { kind: 'none' }) {
    this.#reply = reply;
  }
  hiddenStatesWanted(): null {
    return null;
  }
  async prefill(): Promise<void> {}
  async propose(): Promise<ProposeResult> {
    this.numAsked++;
    return this.#reply;
  }
  settle(): void {
    this.numSettled++;
  }
  observe(): void {}
  async close(): Promise<void> {}
}

const DRAFTED = {
  kind: 'proposal',
  origin: 'draft',
  draftTokenIds: Int32Array.of(77),
  draftDistributions: null,
  timing: null,
} as const;

/** A draft is worth 0.8 tokens a round; guesses of a text are taken while one in four is kept. Passes cost nothing. */
function lengthsWith(numSpeculativeTokens: number): DraftLengthPolicy {
  const planned = (numGuesses: number, numKept: number) => ({
    numSpeculativeTokens: numGuesses,
    minConfidence: 0,
    forecast: { tokensPerMs: 1 + numKept, tokensPerMsWithout: 1 },
  });
  return {
    ofDraft: () => planned(numSpeculativeTokens, 0.8),
    ofText: (kept) => {
      const taken = kept.filter((chance) => chance >= 0.25);
      return planned(
        taken.length,
        taken.reduce((sum, chance) => sum + chance, 0),
      );
    },
    observe: () => {},
    close: () => {},
  };
}

/** A session over a prompt, and the answer as it grows. */
function opened(prompt: number[], draft: ToyDraft | null, texts: Partial<TextGuesses> = {}) {
  const session = new JoinedSession(draft, {
    numPromptTokens: prompt.length,
    promptLookup: false,
    maxTextTokens: 8,
    ...texts,
  });
  const committed = new TokenPrefix();
  committed.append(prompt);
  const propose = async (answer: number[], { numSpeculativeTokens = 4, maxGuesses = 100 } = {}) => {
    committed.append(answer);
    const lengths = new RoundLengths(lengthsWith(numSpeculativeTokens), maxGuesses);
    return session.propose({ committed, lengths });
  };
  return { session, propose };
}

const guessesOf = (result: ProposeResult) => (result.kind === 'proposal' ? [...result.draftTokenIds] : result.kind);

describe('a prediction', () => {
  const PROMPT = [900, 901];
  const predictionTokenIds = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);

  async function guessesAfter(answer: number[]) {
    const draft = new ToyDraft();
    const { propose } = opened(PROMPT, draft, { predictionTokenIds, maxTextTokens: 3 });
    return { guesses: guessesOf(await propose(answer)), draft };
  }

  it.each([
    ['from its beginning', [], [1, 2, 3]],
    ['from where the answer stands in it', [1, 2], [3, 4, 5]],
    ['no further than its end', [1, 2, 3, 4, 5, 6, 7], [8, 9]],
    ['again after a word was replaced, once three tokens agree', [1, 2, 70, 4, 5, 6], [7, 8, 9]],
    ['again after words were put in', [1, 2, 70, 71, 72, 3, 4, 5], [6, 7, 8]],
    ['again after words were left out', [1, 2, 5, 6, 7], [8, 9]],
    ['from an earlier place, when the answer repeats itself', [4, 5, 6, 7, 8, 1, 2, 3], [4, 5, 6]],
  ])('is proposed %s', async (_where, answer, expected) => {
    const { guesses, draft } = await guessesAfter(answer);
    expect(guesses).toEqual(expected);
    expect(draft.numAsked).toBe(0);
  });

  it.each([
    ['the answer has left it', [1, 2, 70]],
    ['only two tokens agree again', [1, 2, 70, 4, 5]],
    ['it is used up', [1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ])('gives way to the draft when %s', async (_when, answer) => {
    const { guesses, draft } = await guessesAfter(answer);
    expect(guesses).toBe('none');
    expect(draft.numAsked).toBe(1);
  });

  it('that repeats itself is taken up behind the place where it was left', async () => {
    const repetitive = Int32Array.of(1, 2, 3, 10, 4, 1, 2, 3, 11, 5, 1, 2, 3, 12, 6, 1, 2, 3, 13);
    const { propose } = opened(PROMPT, new ToyDraft(), { predictionTokenIds: repetitive });
    await propose([1, 2, 3, 10, 4]);
    expect(guessesOf(await propose([60]))).toBe('none'); // instead of the second 1
    expect(guessesOf(await propose([1, 2, 3]))).toEqual(expect.arrayContaining([11, 5]));
  });

  it('goes before a prompt that says the same, and behind one that says more', async () => {
    const texts = { predictionTokenIds, promptLookup: true };
    const same = opened([1, 2, 3, 4, 5, 6, 7, 8, 9, 900], null, texts);
    expect(await same.propose([1, 2, 3])).toMatchObject({ origin: 'prediction' });
    const more = opened([20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34], null, texts);
    expect(await more.propose([20, 21, 22, 23, 24, 25, 26, 27])).toMatchObject({ origin: 'lookup' });
  });

  it('does not settle accounts with a draft that was not asked', async () => {
    const draft = new ToyDraft();
    const { session, propose } = opened(PROMPT, draft, { predictionTokenIds });
    await propose([]);
    session.settle(2);
    expect(draft.numSettled).toBe(0);
  });
});

describe('a lookup', () => {
  const PROMPT = Array.from({ length: 40 }, (_, i) => 100 + i);
  const COPY = PROMPT.slice(0, 12);
  const lookup = { promptLookup: true };

  it('goes on as the prompt does where the answer repeats it, and nobody is asked', async () => {
    const draft = new ToyDraft(DRAFTED);
    const { propose } = opened(PROMPT, draft, lookup);
    const proposal = await propose(COPY);
    expect(proposal).toMatchObject({ origin: 'lookup', draftDistributions: null });
    expect(guessesOf(proposal)).toEqual(PROMPT.slice(12, 20));
    expect(draft.numAsked).toBe(0);
  });

  it('gives way to the draft where only two tokens agree', async () => {
    const draft = new ToyDraft(DRAFTED);
    const { propose } = opened(PROMPT, draft, lookup);
    expect(await propose([50, 100, 101])).toMatchObject({ origin: 'draft' });
  });

  it.each<[string, ToyDraft | null]>([
    ['has nothing to say', new ToyDraft({ kind: 'none' })],
    ['does not answer', new ToyDraft({ kind: 'unavailable' })],
    ['is not there', null],
  ])('takes what little agrees when the draft %s', async (_why, draft) => {
    const { propose } = opened(PROMPT, draft, lookup);
    const proposal = await propose([50, 100, 101]);
    expect(proposal).toMatchObject({ origin: 'lookup' });
    expect(guessesOf(proposal)).toEqual([102]);
  });

  it('is off where the request says so', async () => {
    const { propose } = opened(PROMPT, null);
    expect(guessesOf(await propose(COPY))).toBe('none');
  });

  it('guesses no more than draft_k says, nor more than there is room for', async () => {
    expect(guessesOf(await opened(PROMPT, null, { ...lookup, maxTextTokens: 2 }).propose(COPY))).toEqual([112, 113]);
    expect(guessesOf(await opened(PROMPT, null, lookup).propose(COPY, { maxGuesses: 1 }))).toEqual([112]);
  });

  it('goes round where the answer repeats itself', async () => {
    const { propose } = opened([900], null, lookup);
    await propose([]);
    expect(guessesOf(await propose([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]))).toEqual([1, 2, 3, 1, 2, 3, 1, 2]);
  });

  it('is used less while the answer does not do what the prompt did, and does not ask to be told by guesses', async () => {
    const draft = new ToyDraft(DRAFTED);
    // Everything occurred before, and went on differently.
    const prompt = Array.from({ length: 60 }, (_, i) => [200 + i, 201 + i, 202 + i, 203 + i, 500 + i]).flat();
    const { propose } = opened(prompt, draft, lookup);
    let lookups = 0;
    for (let i = 0; i < 60; i++) {
      const result = await propose([200 + i, 201 + i, 202 + i, 203 + i, 700 + i]);
      const early = await propose([200 + i, 201 + i, 202 + i, 203 + i]);
      for (const one of [result, early]) if (one.kind === 'proposal' && one.origin === 'lookup' && i >= 20) lookups++;
      await propose([800 + i]);
    }
    expect(lookups).toBe(0);
  });

  it('a draft that was not asked for long catches up, which is no loss; one that lost the text just now is', async () => {
    const { propose } = opened([900], new ToyDraft({ kind: 'warming' }));
    expect(guessesOf(await propose([1]))).toBe('warming');
    expect(guessesOf(await propose(Array.from({ length: 64 }, (_, i) => 300 + i)))).toBe('none');
  });
});

describe('greedy answers', () => {
  it('are the same with lookups, with a draft of another model, with both, and with neither', async () => {
    const open = async (prompt: number[], lookup: boolean, k: number) => {
      const trio = new ToyTrio(
        new ToyPeer('target-service', toyModel(4, 3)),
        new ToyPeer('draft-service', toyModel(5, 3)),
      );
      const draft = trio.openDraft;
      const texts = { numPromptTokens: prompt.length, promptLookup: lookup, maxTextTokens: 5 };
      trio.openDraft = (context) => new JoinedSession(k > 0 ? draft(context) : null, texts);
      return trio.generate({
        promptTokenIds: Int32Array.from(prompt),
        sampling: sampling({ temperature: 0 }),
        maxNewTokens: 60,
        draftLength: lengthsWith(k),
      });
    };
    let numLookedUp = 0;
    for (let start = 1; start < 10; start++) {
      const prompt = Array.from({ length: 30 }, (_, i) => 1 + ((start * (i % 11)) % 15));
      const right = (await open(prompt, false, 0)).output.tokenIds;
      for (const [lookup, k] of [
        [true, 0],
        [false, 3],
        [true, 3],
      ] as const) {
        const { output, statistics } = await open(prompt, lookup, k);
        expect(output.tokenIds).toEqual(right);
        numLookedUp += statistics.speculative_decoding.by_source.lookup.num_draft_tokens;
      }
    }
    expect(numLookedUp).toBeGreaterThan(200);
  });
});

describe('the joint distribution of answers with guesses from texts', () => {
  const NUM_ANSWERS = 12_000;
  const p = toyModel(1, 3);

  async function countAnswers(prompt: Int32Array, texts: Partial<TextGuesses>) {
    const registry = new Registry();
    const admission = new Admission({ maxRunning: 1, maxWaiting: 0 });
    const metrics = createMetrics(registry, { admission, drafts: null });
    const counts = new Map<string, number>();
    for (let seed = 1; seed <= NUM_ANSWERS; seed++) {
      const key = (await answer(seed, prompt, texts, metrics)).slice(0, 3).join(',');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return { counts, metrics: await registry.metrics() };
  }

  async function answer(
    seed: number,
    promptTokenIds: Int32Array,
    texts: Partial<TextGuesses>,
    metrics: CoordinatorMetrics,
    rule: VerificationRule = new VerdictRule('rejection', seed),
  ): Promise<number[]> {
    const pools = new ToyPools([new ToyPeer('target-service', p)]);
    await pools.check();
    const context = {
      requestId: 'r',
      timeoutMs: 1000,
      signal: new AbortController().signal,
      cacheScope: '',
      modelDigest: 'd'.repeat(64),
    };
    const numPromptTokens = promptTokenIds.length;
    const generation = new Generation(
      {
        promptTokenIds,
        sampling: sampling({ output_start: numPromptTokens }),
        maxNewTokens: 4,
        stop: [],
        stopTokenIds: [0],
        numTopLogprobs: null,
      },
      {
        rule,
        target: new TargetSequence(pools.targets, context),
        draft: new JoinedSession(null, { numPromptTokens, maxTextTokens: 3, promptLookup: false, ...texts }),
        decoder: new IncrementalDecoder(toyText),
        draftLength: lengthsWith(3),
        observer: new RoundObserver(metrics, 'rejection'),
        traffic: new TrafficMeter(),
      },
    );
    for await (const _ of generation.rounds());
    return generation.output.tokenIds;
  }

  const chiSquare = (prompt: Int32Array, counts: ReadonlyMap<string, number>, salt: number) =>
    fitOfThree(counts, { model: toyModel(salt, 3), prompt: [...prompt], numAnswers: NUM_ANSWERS });

  it('coupled, is that of the target alone token by token, whatever was predicted', async () => {
    const metrics = createMetrics(new Registry(), {
      admission: new Admission({ maxRunning: 1, maxWaiting: 0 }),
      drafts: null,
    });
    const prompt = Int32Array.of(3, 5);
    let numKept = 0;
    for (let seed = 1; seed <= 50; seed++) {
      const alone = await answer(seed, prompt, {}, metrics, new CoupledRule(seed));
      for (const predictionTokenIds of [Int32Array.from(alone), Int32Array.of(7, 9, 2, 4)]) {
        expect(await answer(seed, prompt, { predictionTokenIds }, metrics, new CoupledRule(seed))).toEqual(alone);
        numKept += predictionTokenIds[0] === alone[0] ? 1 : 0;
      }
    }
    expect(numKept).toBeGreaterThanOrEqual(50);
  });

  const likeliest = (text: number[]) => {
    const distribution = p(Int32Array.from(text));
    return distribution.indexOf(Math.max(...distribution));
  };
  // A likely token first, so that the guess is often kept, then a mixture of likely and unlikely ones.
  const likely = likeliest([3, 5]);
  const next = likeliest([5, likely]);

  it.each<[string, number[], Partial<TextGuesses>]>([
    ['prediction', [3, 5], { predictionTokenIds: Int32Array.of(likely, 7, 9, 2, likely, 4) }],
    ['lookup', [3, 5, likely, next, 7, 5, next, 9, 3, likely, 2, 3, 5], { promptLookup: true }],
  ])("is the target's, whatever a %s guesses; and the test would tell another one", async (source, ids, texts) => {
    const prompt = Int32Array.from(ids);
    const { counts, metrics } = await countAnswers(prompt, texts);
    const value = (name: string) => Number(new RegExp(`^${name}{source="${source}"} (\\S+)$`, 'm').exec(metrics)?.[1]);
    const accepted = value('spec_decode_num_accepted_tokens_total');
    expect(accepted).toBeGreaterThan(0.02 * NUM_ANSWERS);
    expect(value('spec_decode_num_draft_tokens_total') - accepted).toBeGreaterThan(0.2 * NUM_ANSWERS);
    const own = chiSquare(prompt, counts, 1);
    expect(own.statistic).toBeLessThan(own.limit);
    const other = chiSquare(prompt, counts, 2);
    expect(other.statistic).toBeGreaterThan(other.limit);
  });
});
