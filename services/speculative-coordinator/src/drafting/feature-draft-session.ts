/**
 * A feature draft: one layer that also reads the target's hidden states (the EAGLE family: Li et al. 2024,
 * arXiv:2401.15077). Its text is the target's, shifted by one: entry i is token x_{b+1+i} with feature f_{b+i}, where b
 * is the base, 0 unless the hidden states of the beginning are no longer held. When the service lost the text, it gets what
 * the window still holds: a text may begin in the middle, only acceptance suffers. Hidden states steer guesses and nothing
 * else: verification knows the distribution that each guess was drawn from, whatever the hidden states were.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { TokenPrefix } from '@forerunner/protocol';
import { deriveSeed } from '@forerunner/sampling';
import type { DraftPeer } from '../pair/draft-peer.ts';
import { MAX_INLINE_TOKENS, NO_GUESSES } from './classic-draft-session.ts';
import type { DraftLength } from './draft-length.ts';
import { type DraftContext, DraftSequence } from './draft-sequence.ts';
import type { DraftSession, HiddenStateRows, ProposeCall, ProposeResult } from './draft-session.ts';
import { HiddenStateWindow } from './hidden-state-window.ts';

export class FeatureDraftSession implements DraftSession {
  readonly #peer: DraftPeer;
  readonly #context: DraftContext;
  readonly #sequence: DraftSequence;
  readonly #window: HiddenStateWindow;
  #text = new TokenPrefix();
  #base = 0;
  #began = false;
  #warming: Promise<unknown> | null = null;

  constructor(peer: DraftPeer, context: DraftContext, options: { width: number; maxWindowBytes: number }) {
    this.#peer = peer;
    this.#context = context;
    this.#sequence = new DraftSequence(peer, context);
    this.#window = new HiddenStateWindow(options.width, options.maxWindowBytes);
  }

  get hiddenStateWindow(): number {
    return this.#window.maxRows;
  }

  /** Nothing can be cached before the target's hidden states are there. */
  prefill(): void {}

  observe({ hiddenStates, end, numCommitted }: HiddenStateRows): void {
    const numRows = hiddenStates.length / this.#window.width;
    const start = end - numRows;
    const numUsable = Math.max(0, Math.min(numRows, numCommitted - start));
    this.#window.append(start, hiddenStates.subarray(0, numUsable * this.#window.width));
  }

  async propose({ committed, ...length }: ProposeCall): Promise<ProposeResult> {
    if (this.#sequence.isFull) return { kind: 'none' };
    if (this.#warming) return { kind: 'warming' };
    if (this.#window.end < committed.length - 1) return { kind: 'warming' }; // the target's next pass brings what is missing
    if (this.#window.firstUsable > this.#base + this.#sequence.numCachedTokens) this.#begin(this.#window.firstUsable);
    this.#text.append(committed.ids(this.#base + 1 + this.#text.length));
    if (this.#text.length === 0) return { kind: 'none' }; // a prompt of one token has nothing before it

    if (this.#text.length - this.#sequence.numCachedTokens > MAX_INLINE_TOKENS) {
      this.#warm();
      // The prompt is waited for, which keeps seeded answers reproducible; a lost text is cached in the background.
      if (this.#began) return { kind: this.#peer.isAvailable ? 'warming' : 'unavailable' };
      this.#began = true;
      await Promise.race([this.#warming, sleep(this.#peer.timeoutMs)]);
      if (this.#warming) return { kind: 'warming' };
    }
    this.#began = true;
    return this.#ask(length);
  }

  /** The draft cached accepted guesses with its own estimates: they are sent again, now that their hidden states are known. */
  settle(): void {
    this.#sequence.settle(0);
  }

  close(): Promise<void> {
    return this.#sequence.close();
  }

  #begin(base: number): void {
    this.#base = base;
    this.#text = new TokenPrefix();
    this.#sequence.restart();
  }

  #warm(): void {
    this.#warming = this.#ask(NO_GUESSES)
      .catch(() => {}) // only the caller's own abort, which it sees elsewhere, or the end of the answer
      .finally(() => {
        this.#warming = null;
      });
  }

  #ask(length: DraftLength): Promise<ProposeResult> {
    const { seed, sampling } = this.#context;
    const base = this.#base;
    const end = base + this.#text.length;
    return this.#sequence.propose({
      text: this.#text,
      ...length,
      // The draft keys its noise by its own positions: with another base they are other tokens' positions.
      seed: base === 0 ? seed : deriveSeed(seed, `draft-base/${base}`),
      sampling: { ...sampling, output_start: Math.max(0, sampling.output_start - base - 1) },
      hiddenStatesFrom: (position) => this.#window.slice(base + position, end),
    });
  }
}
