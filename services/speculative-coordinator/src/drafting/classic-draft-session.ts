/**
 * A classic draft: a language model of its own over the same tokens. Its cache of the prompt is filled while the target
 * works on the prompt, too. When the service lost the text (restart, eviction), it is cached again in the background
 * while the target goes on alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TokenPrefix } from '@forerunner/protocol';
import type { DraftPeer } from '../pair/draft-peer.ts';
import type { DraftLength } from './draft-length.ts';
import { type DraftContext, DraftSequence } from './draft-sequence.ts';
import type { DraftSession, ProposeCall, ProposeResult } from './draft-session.ts';

/** More new tokens than this are cached in the background; a round does not wait for them. */
export const MAX_INLINE_TOKENS = 64;

/** A call that only caches. */
export const NO_GUESSES: DraftLength = { numSpeculativeTokens: 0, minConfidence: 0 };

export class ClassicDraftSession implements DraftSession {
  readonly #peer: DraftPeer;
  readonly #context: DraftContext;
  readonly #sequence: DraftSequence;
  #warming: Promise<unknown> | null = null;
  #proposed = false;

  constructor(peer: DraftPeer, context: DraftContext) {
    this.#peer = peer;
    this.#context = context;
    this.#sequence = new DraftSequence(peer, context);
  }

  hiddenStatesWanted(): null {
    return null;
  }

  async prefill(committed: TokenPrefix): Promise<void> {
    this.#warm(committed);
  }

  async propose({ committed, ...length }: ProposeCall): Promise<ProposeResult> {
    if (this.#sequence.isFull) return { kind: 'none' };
    // Waiting for the prompt's own prefill keeps seeded answers reproducible; a draft that hangs is not waited for.
    if (this.#warming && !this.#proposed) await Promise.race([this.#warming, sleep(this.#peer.timeoutMs)]);
    this.#proposed = true;
    if (this.#warming) return { kind: 'warming' };
    if (committed.length - this.#sequence.numCachedTokens > MAX_INLINE_TOKENS) {
      this.#warm(committed);
      return { kind: this.#peer.isAvailable ? 'warming' : 'unavailable' };
    }
    return this.#ask(committed, length);
  }

  settle(numAcceptedTokens: number): void {
    this.#sequence.settle(numAcceptedTokens);
  }

  observe(): void {}

  close(): Promise<void> {
    return this.#sequence.close();
  }

  #warm(committed: TokenPrefix): void {
    this.#warming = this.#ask(committed, NO_GUESSES)
      .catch(() => {}) // only the caller's own abort, which it sees elsewhere, or the end of the answer
      .finally(() => {
        this.#warming = null;
      });
  }

  #ask(text: TokenPrefix, length: DraftLength): Promise<ProposeResult> {
    const { seed, sampling } = this.#context;
    return this.#sequence.propose({ text, ...length, seed, sampling });
  }
}
