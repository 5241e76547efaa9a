/** Guesses from a client's own prediction: where the answer follows it, where it leaves it, and the distribution of the answer. */
import { TokenPrefix } from '@forerunner/protocol';
import { IncrementalDecoder } from '@forerunner/tokenizer';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Admission } from '../src/admission.ts';
import { FixedDraftLength } from '../src/drafting/draft-length.ts';
import type { DraftSession, ProposeResult } from '../src/drafting/draft-session.ts';
import { PredictionSession } from '../src/drafting/prediction-session.ts';
import { Generation } from '../src/generation/generation.ts';
import { RoundObserver } from '../src/generation/round-observer.ts';
import { RejectionRule } from '../src/generation/verification/rejection.ts';
import { createMetrics } from '../src/metrics.ts';
import { TargetReplicas } from '../src/pair/target-replicas.ts';
import { TargetSequence } from '../src/pair/target-sequence.ts';
import { ToyPeer, toyModel, VOCAB_SIZE } from './toy-peers.ts';
import { sampling, toyText } from './toy-trio.ts';

/** A draft that has nothing to say and notes that it was asked. */
class SilentDraft implements DraftSession {
  numAsked = 0;
  numSettled = 0;
  hiddenStatesWanted(): null {
    return null;
  }
  async prefill(): Promise<void> {}
  async propose(): Promise<ProposeResult> {
    this.numAsked++;
    return { kind: 'none' };
  }
  settle(): void {
    this.numSettled++;
  }
  observe(): void {}
  async close(): Promise<void> {}
}

describe('a prediction', () => {
  const PROMPT = [900, 901];
  const predicted = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);

  async function guessesAfter(answer: number[], k = 3) {
    const draft = new SilentDraft();
    const session = new PredictionSession(predicted, PROMPT.length, draft);
    const committed = new TokenPrefix();
    committed.append([...PROMPT, ...answer]);
    const proposal = await session.propose({ committed, numSpeculativeTokens: k, minConfidence: 0 });
    return { guesses: proposal.kind === 'proposal' ? [...proposal.draftTokenIds] : proposal.kind, draft };
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

  it('does not settle accounts with a draft that was not asked', async () => {
    const draft = new SilentDraft();
    const session = new PredictionSession(predicted, PROMPT.length, draft);
    const committed = new TokenPrefix();
    committed.append(PROMPT);
    await session.propose({ committed, numSpeculativeTokens: 3, minConfidence: 0 });
    session.settle(2);
    expect(draft.numSettled).toBe(0);
  });
});

describe('the joint distribution of answers with a prediction', () => {
  const PROMPT = Int32Array.of(3, 5);
  const NUM_ANSWERS = 12_000;
  const p = toyModel(1, 3);

  async function answer(seed: number, predicted: Int32Array): Promise<number[]> {
    const target = new ToyPeer('target-service', p);
    const context = {
      requestId: 'r',
      timeoutMs: 1000,
      signal: new AbortController().signal,
      cacheScope: '',
      modelDigest: 'd'.repeat(64),
    };
    const generation = new Generation(
      {
        promptTokenIds: PROMPT,
        sampling: sampling({ output_start: PROMPT.length }),
        maxNewTokens: 4,
        stop: [],
        stopTokenIds: [0],
        numTopLogprobs: null,
      },
      {
        rule: new RejectionRule(seed),
        target: new TargetSequence(new TargetReplicas([target]), context),
        draft: new PredictionSession(predicted, PROMPT.length, new SilentDraft()),
        decoder: new IncrementalDecoder(toyText),
        draftLength: new FixedDraftLength({ numSpeculativeTokens: 3, minConfidence: 0 }),
        observer: new RoundObserver(metrics),
      },
    );
    for await (const _ of generation.rounds());
    return generation.output.tokenIds;
  }
  const metrics = createMetrics(new Registry(), {
    admission: new Admission({ maxRunning: 1, maxWaiting: 0 }),
    draft: { isAvailable: true, unavailableMs: 0 },
  });

  /** χ² of the first three tokens against a model's exact distribution. */
  function chiSquare(counts: ReadonlyMap<string, number>, salt: number): { statistic: number; limit: number } {
    const model = toyModel(salt, 3);
    let statistic = 0;
    let bins = 0;
    const rest = { observed: 0, expected: 0 };
    const first = model(PROMPT);
    for (let a = 0; a < VOCAB_SIZE; a++) {
      const second = model(Int32Array.of(...PROMPT, a));
      for (let b = 0; b < VOCAB_SIZE; b++) {
        const third = model(Int32Array.of(...PROMPT, a, b));
        for (let c = 0; c < VOCAB_SIZE; c++) {
          const mean = NUM_ANSWERS * first[a]! * second[b]! * third[c]!;
          const observed = counts.get(`${a},${b},${c}`) ?? 0;
          if (mean < 5) {
            rest.observed += observed;
            rest.expected += mean;
            continue;
          }
          statistic += (observed - mean) ** 2 / mean;
          bins++;
        }
      }
    }
    statistic += (rest.observed - rest.expected) ** 2 / Math.max(rest.expected, 1e-9);
    return { statistic, limit: bins + 10 * Math.sqrt(2 * bins) };
  }

  it("is the target's, whatever was predicted; and the test would tell another one", async () => {
    // A likely first token, so that the prediction holds often, then a mixture of likely and unlikely ones.
    const distribution = p(PROMPT);
    const likely = distribution.indexOf(Math.max(...distribution));
    const predicted = Int32Array.of(likely, 7, 9, 2, likely, 4);
    const counts = new Map<string, number>();
    for (let seed = 1; seed <= NUM_ANSWERS; seed++) {
      const key = (await answer(seed, predicted)).slice(0, 3).join(',');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const own = chiSquare(counts, 1);
    expect(own.statistic).toBeLessThan(own.limit);
    const other = chiSquare(counts, 2);
    expect(other.statistic).toBeGreaterThan(other.limit);
  });
});
