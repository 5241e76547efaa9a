/**
 * A classic draft: a language model of its own over the same tokens. Its cache of the prompt is filled while the target
 * works on the prompt, too. When the service lost the text (restart, eviction), it is cached again in the background
 * while the target goes on alone.
 */
import type { TokenPrefix } from '@forerunner/protocol';
import type { DraftPool } from '../pair/draft-pool.ts';
import { BackgroundFill, MAX_INLINE_TOKENS, NO_GUESSES } from './background-fill.ts';
import type { DraftLength } from './draft-length.ts';
import { type DraftContext, DraftSequence } from './draft-sequence.ts';
import type { DraftSession, ProposeCall, ProposeResult } from './draft-session.ts';

export class ClassicDraftSession implements DraftSession {
  readonly #drafts: DraftPool;
  readonly #context: DraftContext;
  readonly #sequence: DraftSequence;
  readonly #filling = new BackgroundFill();
  #proposed = false;

  constructor(drafts: DraftPool, context: DraftContext) {
    this.#drafts = drafts;
    this.#context = context;
    this.#sequence = new DraftSequence(drafts, context);
  }

  hiddenStatesWanted(): null {
    return null;
  }

  async prefill(committed: TokenPrefix): Promise<void> {
    this.#fill(committed);
  }

  async propose({ committed, lengths }: ProposeCall): Promise<ProposeResult> {
    const length = lengths.ofDraft();
    if (this.#sequence.isFull || length.numSpeculativeTokens === 0) return { kind: 'none' };
    // Waiting for the prompt's own prefill keeps seeded answers reproducible.
    if (!this.#proposed) await this.#filling.wait(this.#drafts.timeoutMs);
    this.#proposed = true;
    if (this.#filling.isUnderWay) return { kind: 'warming' };
    if (committed.length - this.#sequence.numCachedTokens > MAX_INLINE_TOKENS) {
      this.#fill(committed);
      return { kind: this.#drafts.isAvailable ? 'warming' : 'unavailable' };
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

  #fill(committed: TokenPrefix): void {
    this.#filling.start(this.#ask(committed, NO_GUESSES));
  }

  #ask(text: TokenPrefix, length: DraftLength): Promise<ProposeResult> {
    return this.#sequence.propose({ text, ...length, sampling: this.#context.sampling });
  }
}
