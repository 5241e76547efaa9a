/**
 * The target's text as a feature draft knows it from a base on: entry i is token x_{b+1+i} with the target's hidden state
 * h_{b+i}, where b is the base. It has a sequence of its own on the draft-service, in a cache scope of its own: what
 * stands before the base shapes the hidden states, so only texts that are equal there, too, may share it.
 */
import { TokenPrefix } from '@forerunner/protocol';
import type { DraftPool } from '../pair/draft-pool.ts';
import type { DraftLength } from './draft-length.ts';
import { type DraftContext, DraftSequence } from './draft-sequence.ts';
import type { ProposeResult } from './draft-session.ts';
import type { HiddenStateWindow } from './hidden-state-window.ts';

export class ShiftedText {
  readonly base: number;
  readonly #context: DraftContext;
  readonly #sequence: DraftSequence;
  readonly #tokens = new TokenPrefix();

  /** `committed` reaches beyond the base. */
  constructor(drafts: DraftPool, context: DraftContext, { base, committed }: { base: number; committed: TokenPrefix }) {
    this.base = base;
    this.#context = context;
    const cacheScope = `${context.cacheScope}/${committed.digestAt(base + 1)}`;
    this.#sequence = new DraftSequence(drafts, { ...context, cacheScope });
    this.extend(committed);
  }

  get length(): number {
    return this.#tokens.length;
  }

  /** Its first tokens that the service holds. */
  get numCachedTokens(): number {
    return this.#sequence.numCachedTokens;
  }

  /** Position of the first hidden state that the service lacks. */
  get firstMissing(): number {
    return this.base + this.numCachedTokens;
  }

  /** It has outgrown the draft's context. */
  get isFull(): boolean {
    return this.#sequence.isFull;
  }

  /** Adds what was committed since. */
  extend(committed: TokenPrefix): void {
    this.#tokens.append(committed.ids(this.base + 1 + this.length));
  }

  /** Finds out how much of it the service has cached. */
  async lookUp(): Promise<void> {
    await this.#sequence.lookUp(this.#tokens);
  }

  /** Never fails but for the caller's own abort, or `close`. */
  propose(length: DraftLength, window: HiddenStateWindow): Promise<ProposeResult> {
    const { sampling } = this.#context;
    const { base } = this;
    const end = base + this.length;
    return this.#sequence.propose({
      text: this.#tokens,
      ...length,
      textStart: base + 1,
      sampling: { ...sampling, output_start: Math.max(0, sampling.output_start - base - 1) },
      hiddenStatesFrom: (position) => window.slice(base + position, end),
    });
  }

  /** The draft cached accepted guesses with its own estimates: they are sent again, now that their hidden states are known. */
  settle(): void {
    this.#sequence.settle(0);
  }

  close(): Promise<void> {
    return this.#sequence.close();
  }
}
