import { PeerError } from '@forerunner/service-kit';
import { describe, expect, it } from 'vitest';
import type { DraftedRound, DraftLengthPolicy } from '../src/drafting/draft-length.ts';
import { mixed, ToyPeer, toyModel } from './toy-peers.ts';
import { sampling, ToyTrio, toyText } from './toy-trio.ts';

const p = toyModel(1, 3);
const q = mixed(p, toyModel(2, 3), 0.6);
const greedy = { sampling: sampling({ temperature: 0 }) };
const gone = () => new PeerError('unreachable', 'ECONNREFUSED');

const trioOf = (targetModel = p, draftModel = q) =>
  new ToyTrio(new ToyPeer('target-service', targetModel), new ToyPeer('draft-service', draftModel));

/** Greedy text of the target alone, by definition. */
function greedyText(length: number, prompt = [3, 5]): number[] {
  const text = [...prompt];
  while (text.length < prompt.length + length) {
    const probs = p(Int32Array.from(text));
    text.push(probs.indexOf(Math.max(...probs)));
  }
  return text.slice(prompt.length);
}

describe('a greedy answer', () => {
  it.each([1, 2, 3, 4, 7])('is what the target alone says, for k = %i', async (numSpeculativeTokens) => {
    for (let i = 1; i < 12; i++) {
      const promptTokenIds = Int32Array.of(i, 16 - i);
      const { output } = await trioOf().generate({ ...greedy, numSpeculativeTokens, promptTokenIds });
      expect(output.tokenIds).toEqual(greedyText(20, [...promptTokenIds]));
    }
  });

  it('is the same without a draft, and takes more rounds', async () => {
    const trio = trioOf();
    const alone = await trio.generate({ ...greedy, numSpeculativeTokens: 0 });
    const together = await trio.generate(greedy);
    expect(alone.output.tokenIds).toEqual(together.output.tokenIds);
    expect(new Set(alone.output.provenance)).toEqual(new Set(['target']));
    expect(together.statistics.speculative_decoding.num_rounds).toBeLessThan(19);
    expect(alone.statistics.speculative_decoding.num_rounds).toBe(19); // the first token came with the prompt
  });

  it('survives a draft that fails, forgets or talks nonsense at any moment', async () => {
    const expected = greedyText(20);
    for (let seed = 0; seed < 40; seed++) {
      const trio = trioOf();
      trio.draft.faults = (call, peer) => {
        const dice = Math.imul(call + 31 * seed + 1, 0x9e3779b1) >>> 29;
        if (dice === 0) return gone();
        if (dice === 1) return new PeerError('timeout', 'no answer within 5 ms');
        if (dice === 2) return new PeerError('busy', 'queue full', 'overloaded');
        if (dice <= 4) peer.loseSequences();
        return null;
      };
      const { output } = await trio.generate(greedy);
      expect(output.tokenIds).toEqual(expected);
    }
  });

  it('does not wait for a draft that hangs on the prompt', async () => {
    const trio = trioOf();
    trio.draft.faults = () => new Promise(() => {}); // never answers, not even that it failed
    const { output, statistics } = await trio.generate(greedy);
    expect(output.tokenIds).toEqual(greedyText(20));
    expect(statistics.speculative_decoding.num_degraded_rounds).toBe(18); // the last one wanted none
  });

  it('asks no more, and is not degraded, when the text has outgrown the draft', async () => {
    const trio = trioOf();
    const full = () => new PeerError('refused', 'the context is full', 'context_length_exceeded');
    trio.draft.faults = (call) => (call >= 3 ? full() : null);
    const promptTokenIds = Int32Array.from({ length: 80 }, (_, i) => 1 + (i % 14));
    const { statistics } = await trio.generate({ ...greedy, promptTokenIds });
    expect(trio.draft.numCalls).toBe(4);
    expect(statistics.speculative_decoding.num_degraded_rounds).toBe(0);
  });

  it('survives a target that forgets the sequence at any moment', async () => {
    for (let lost = 0; lost < 8; lost++) {
      const trio = trioOf();
      trio.target.faults = (call, peer) => {
        if (call === lost) peer.loseSequences();
        return null;
      };
      expect((await trio.generate(greedy)).output.tokenIds).toEqual(greedyText(20));
    }
  });

  it('survives a target that is away for a moment', async () => {
    const trio = trioOf();
    trio.target.faults = (call) => (call === 3 || call === 4 ? gone() : null);
    expect((await trio.generate(greedy)).output.tokenIds).toEqual(greedyText(20));
  });

  it('ends with target_unavailable when the target stays away, and frees what it can', async () => {
    const trio = trioOf();
    trio.target.faults = (call) => (call >= 2 ? gone() : null);
    await expect(trio.generate(greedy)).rejects.toMatchObject({ code: 'target_unavailable', status: 503 });
    expect(trio.draft.numSequences).toBe(0);
  });
});

describe('the traffic of a round', () => {
  it('never sends again what the other side holds', async () => {
    const trio = trioOf(p, p); // a perfect draft
    await trio.generate({ ...greedy, numSpeculativeTokens: 4, maxNewTokens: 21 });
    expect(trio.target.newTokensPerCall).toEqual([2, 5, 5, 5, 5]); // prompt; then the last token and four drafts
    expect(trio.draft.newTokensPerCall).toEqual([2, 1, 2, 2, 2]); // prompt; bonus token; last draft and bonus token
  });

  it('frees both sequences at the end', async () => {
    const trio = trioOf();
    await trio.generate();
    expect([trio.target.numSequences, trio.draft.numSequences]).toEqual([0, 0]);
  });
});

describe('whoever looks at the rounds', () => {
  it('may take long: the next proposal has been asked for by then', async () => {
    const trio = trioOf();
    const numCallsSeen: number[] = [];
    trio.onRound = () => {
      numCallsSeen.push(trio.draft.numCalls);
    };
    const { rounds } = await trio.generate({ ...greedy, maxNewTokens: 12, numSpeculativeTokens: 1 });
    expect(rounds.length).toBeGreaterThan(4);
    // The prompt is a call of its own; a proposal is under way at each round but the last, or the one that leaves one token.
    expect(numCallsSeen.slice(0, 4)).toEqual([2, 3, 4, 5]);
  });

  it('may take long: that is no part of a round', async () => {
    const trio = trioOf();
    trio.onRound = () => new Promise((resolve) => setTimeout(resolve, 40));
    const { rounds } = await trio.generate({ ...greedy, maxNewTokens: 12, numSpeculativeTokens: 1 });
    const metrics = await trio.registry.metrics();
    const roundSeconds = Number(/^forerunner_round_seconds_sum(?:\{\})? (.*)$/m.exec(metrics)![1]);
    expect(roundSeconds).toBeGreaterThan(0);
    expect(roundSeconds).toBeLessThan((0.04 * rounds.length) / 2);
  });

  it('may leave while a proposal is under way: the sequences are freed after it, and nothing is thrown twice', async () => {
    const trio = trioOf();
    const controller = new AbortController();
    const reason = new Error('the client left');
    trio.draft.faults = async (call) => {
      if (call < 3) return null;
      await new Promise((resolve) => setTimeout(resolve, 30));
      return controller.signal.aborted ? (reason as PeerError) : null;
    };
    trio.onRound = async () => {
      if (trio.draft.numCalls < 4) return;
      controller.abort(reason);
      await new Promise((resolve) => setTimeout(resolve, 60)); // the proposal has failed before anybody awaits it
      throw reason;
    };
    await expect(trio.generate({ ...greedy, numSpeculativeTokens: 1 }, controller.signal)).rejects.toBe(reason);
    expect(trio.draft.numFreed).toBe(1);
    expect([trio.target.numSequences, trio.draft.numSequences]).toEqual([0, 0]);
  });

  it('may leave at once: a proposal that comes later leaves nothing behind', async () => {
    const trio = trioOf();
    trio.draft.faults = async (call) => {
      if (call === 3) await new Promise((resolve) => setTimeout(resolve, 30));
      return null;
    };
    trio.onRound = () => {
      if (trio.draft.numCalls === 4) throw new Error('left');
    };
    await expect(trio.generate({ ...greedy, numSpeculativeTokens: 1 })).rejects.toThrow('left');
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect([trio.target.numSequences, trio.draft.numSequences]).toEqual([0, 0]);
  });
});

describe('the end of an answer', () => {
  it.each([1, 2, 3, 5, 6, 13])('comes after exactly %i tokens', async (maxNewTokens) => {
    const { output, statistics } = await trioOf(p, p).generate({ maxNewTokens, numSpeculativeTokens: 5 });
    expect(output.tokenIds).toHaveLength(maxNewTokens);
    expect(output.finishReason).toBe('length');
    // Nothing was drafted that could not be emitted.
    expect(statistics.speculative_decoding.num_draft_tokens).toBeLessThan(maxNewTokens);
  });

  it('comes with an end-of-sequence token inside an accepted run, and nothing leaks from behind it', async () => {
    const withEos = toyModel(1, 3, 0.3);
    const inside = [];
    for (let seed = 0; seed < 60; seed++) {
      const { output, statistics } = await trioOf(withEos, withEos).generate({ seed, maxNewTokens: 40 });
      const end = output.tokenIds.indexOf(0);
      if (end < 0) continue;
      expect(end).toBe(output.tokenIds.length - 1);
      expect(output.finishReason).toBe('stop');
      expect(output.text).toBe(toyText(output.tokenIds));
      const { num_accepted_tokens, num_emitted_draft_tokens } = statistics.speculative_decoding;
      expect(num_emitted_draft_tokens).toBe(output.provenance.filter((kind) => kind === 'accepted').length);
      if (num_accepted_tokens > num_emitted_draft_tokens) inside.push(seed);
    }
    expect(inside.length).toBeGreaterThan(0); // the case did occur
  });

  it('comes before a stop string that spans tokens and rounds', async () => {
    const text = toyText(greedyText(20));
    for (let start = 1; start < 15; start++) {
      const stop = text.slice(start, start + 3);
      const { output, pieces } = await trioOf(p, p).generate({ ...greedy, stop: [stop], numSpeculativeTokens: 3 });
      expect(output.text).toBe(text.slice(0, text.indexOf(stop)));
      expect(pieces.join('')).toBe(output.text);
      expect(output.finishReason).toBe('stop');
    }
  });

  it('leaves no text behind on a draft that was still caching it', async () => {
    const trio = trioOf();
    trio.draft.faults = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return null;
    };
    await trio.generate({ ...greedy, maxNewTokens: 1 });
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect([trio.draft.numCalls, trio.draft.numFreed, trio.draft.numSequences]).toEqual([1, 1, 0]);
  });

  it('comes with the reason of the abort, also while a busy target is waited for', async () => {
    const trio = trioOf();
    const reason = new Error('too late');
    const controller = new AbortController();
    trio.target.faults = () => {
      setTimeout(() => controller.abort(reason), 10);
      return new PeerError('busy', 'queue full', 'overloaded');
    };
    await expect(trio.generate(greedy, controller.signal)).rejects.toBe(reason);
  });

  it('comes at once when the caller goes away', async () => {
    const trio = trioOf();
    const controller = new AbortController();
    trio.target.faults = (call) => {
      if (call === 3) controller.abort(new Error('gone'));
      return null;
    };
    trio.draft.faults = () => (controller.signal.aborted ? (controller.signal.reason as Error) : null);
    await expect(trio.generate({ maxNewTokens: 200 }, controller.signal)).rejects.toThrow('gone');
    expect([trio.target.numSequences, trio.draft.numSequences]).toEqual([0, 0]);
    expect(trio.target.numCalls).toBeLessThan(6);
  });
});

/** A policy that learns nothing: one guess, then three. */
class AlternatingLength implements DraftLengthPolicy {
  readonly observed: number[] = [];
  #numAsked = 0;

  ofDraft() {
    const forecast = { tokensPerMs: 1, tokensPerMsWithout: 1 };
    return { numSpeculativeTokens: this.#numAsked++ % 2 === 0 ? 1 : 3, minConfidence: 0, forecast };
  }

  ofText() {
    return { numSpeculativeTokens: 0, minConfidence: 0, forecast: { tokensPerMs: 0, tokensPerMsWithout: 1 } };
  }

  observe({ numDraftTokens }: DraftedRound): void {
    this.observed.push(numDraftTokens);
  }

  close(): void {}
}

describe('counts', () => {
  it('add up: emitted tokens are accepted, recovered, bonus and target tokens', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { output, statistics } = await trioOf().generate({ seed, maxNewTokens: 31 });
      const s = statistics.speculative_decoding;
      const count = (kind: string) => output.provenance.filter((x) => x === kind).length;
      expect(count('accepted') + count('recovered') + count('bonus') + count('target')).toBe(31);
      expect(count('accepted')).toBe(s.num_emitted_draft_tokens);
      expect(count('recovered') + count('bonus')).toBe(s.num_drafts);
      expect(s.num_draft_tokens_per_pos.reduce((a, b) => a + b, 0)).toBe(s.num_draft_tokens);
      expect(s.num_accepted_tokens_per_pos.reduce((a, b) => a + b, 0)).toBe(s.num_accepted_tokens);
      expect(s.mean_acceptance_length).toBeCloseTo(1 + s.num_accepted_tokens / s.num_drafts, 3);
    }
  });

  it('by position are of guesses really made: a shorter proposal is no refusal', async () => {
    const trio = trioOf(p, p); // whatever is guessed is kept
    const draftLength = new AlternatingLength();
    const { statistics } = await trio.generate({ ...greedy, maxNewTokens: 1 + 2 + 4 + 2 + 4, draftLength });
    expect(draftLength.observed).toEqual([0, 1, 3, 1, 3]); // the prompt's own pass has no guesses
    const { num_drafts, num_draft_tokens_per_pos, num_accepted_tokens_per_pos } = statistics.speculative_decoding;
    expect(num_drafts).toBe(4);
    expect(num_draft_tokens_per_pos).toEqual([4, 2, 2]);
    expect(num_accepted_tokens_per_pos).toEqual(num_draft_tokens_per_pos);
    const text = await trio.registry.metrics();
    for (const name of ['draft', 'accepted']) {
      const counts = [0, 1, 2].map((at) =>
        Number(
          new RegExp(
            `^spec_decode_num_${name}_tokens_per_pos_total\\{source="draft",position="${at}"\\} (.*)$`,
            'm',
          ).exec(text)?.[1],
        ),
      );
      expect(counts).toEqual([4, 2, 2]);
    }
  });

  it('stand in the metrics as in the replies', async () => {
    const trio = trioOf();
    let accepted = 0;
    let drafted = 0;
    for (let seed = 0; seed < 5; seed++) {
      const { statistics } = await trio.generate({ seed });
      accepted += statistics.speculative_decoding.num_accepted_tokens;
      drafted += statistics.speculative_decoding.num_draft_tokens;
    }
    const text = await trio.registry.metrics();
    expect(text).toMatch(new RegExp(`^spec_decode_num_accepted_tokens_total\\{source="draft"\\} ${accepted}$`, 'm'));
    expect(text).toMatch(new RegExp(`^spec_decode_num_draft_tokens_total\\{source="draft"\\} ${drafted}$`, 'm'));
  });
});
