/**
 * A classic draft: a language model of its own over the same tokens. Its cache of the prompt is filled while the target
 * works on the prompt, too. When the service lost the text (restart, eviction), it is cached again in the background
 * while the target goes on alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TokenPrefix } from '@forerunner/protocol';
import type { DraftPeer } from './draft-peer.ts';
import { type DraftContext, DraftSequence } from './draft-sequence.ts';
import type { Absence, DraftSession, Proposal, ProposeCall } from './drafting.ts';

/** More new tokens than this are cached in the background; a round does not wait for them. */
export const MAX_INLINE_TOKENS = 64;

export class ClassicDraftSession implements DraftSession {
  readonly hiddenStateWindow = 0;
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

  prefill(committed: TokenPrefix): void {
    this.#warming = this.#ask(committed, 0)
      .catch(() => {}) // only the caller's own abort, which it sees elsewhere, or the end of the answer
      .finally(() => {
        this.#warming = null;
      });
  }

  async propose({ committed, numSpeculativeTokens }: ProposeCall): Promise<Proposal | Absence> {
    if (this.#sequence.isFull) return 'none';
    // Waiting for the prompt's own prefill keeps seeded answers reproducible; a draft that hangs is not waited for.
    if (this.#warming && !this.#proposed) await Promise.race([this.#warming, sleep(this.#peer.timeoutMs)]);
    this.#proposed = true;
    if (this.#warming) return 'warming';
    if (committed.length - this.#sequence.numCachedTokens > MAX_INLINE_TOKENS) {
      this.prefill(committed);
      return this.#peer.isAvailable ? 'warming' : 'unavailable';
    }
    return this.#ask(committed, numSpeculativeTokens);
  }

  settle(numAcceptedTokens: number): void {
    this.#sequence.settle(numAcceptedTokens);
  }

  observe(): void {}

  close(): Promise<void> {
    return this.#sequence.close();
  }

  #ask(text: TokenPrefix, numSpeculativeTokens: number): Promise<Proposal | Absence> {
    const { seed, sampling } = this.#context;
    return this.#sequence.propose({ text, numSpeculativeTokens, seed, sampling });
  }
}
