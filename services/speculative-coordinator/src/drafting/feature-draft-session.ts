/**
 * A feature draft: one layer that also reads the target's hidden states (the EAGLE family: Li et al. 2024,
 * arXiv:2401.15077). It works on the target's text from a base on, which is 0 unless the hidden states of the beginning
 * are no longer held: a text may begin in the middle, only acceptance suffers. Hidden states steer guesses and
 * nothing else: verification knows the distribution that each guess was drawn from, whatever the hidden states were.
 *
 * Before the target reads a prompt the draft is asked what it has of it, so that the target computes hidden states only
 * for the rest (docs/decisions/0023-prefix-cache.md).
 */
import type { TokenPrefix } from '@forerunner/protocol';
import type { DraftPool } from '../pair/draft-pool.ts';
import { BackgroundFill, MAX_INLINE_TOKENS, NO_GUESSES } from './background-fill.ts';
import type { DraftContext } from './draft-sequence.ts';
import type { DraftSession, HiddenStateRows, HiddenStatesWanted, ProposeCall, ProposeResult } from './draft-session.ts';
import { HiddenStateWindow } from './hidden-state-window.ts';
import { ShiftedText } from './shifted-text.ts';

/** So many tokens the target always computes again for a draft that lacks them: about a pass. */
const MAX_RECOMPUTED_TOKENS = 128;

export class FeatureDraftSession implements DraftSession {
  readonly #drafts: DraftPool;
  readonly #context: DraftContext;
  readonly #window: HiddenStateWindow;
  #text: ShiftedText | null = null;
  readonly #closings: Promise<void>[] = [];
  #prefersReuse = false;
  #began = false;
  readonly #filling = new BackgroundFill();

  constructor(drafts: DraftPool, context: DraftContext, options: { width: number; maxWindowBytes: number }) {
    this.#drafts = drafts;
    this.#context = context;
    this.#window = new HiddenStateWindow(options.width, options.maxWindowBytes);
  }

  /** Of a text that is longer than the window, no more than the window keeps. */
  hiddenStatesWanted(committed: TokenPrefix): HiddenStatesWanted {
    const from = Math.max(this.#window.end, committed.length - this.#window.maxRows);
    if (this.#window.end > 0) return { from, prefersReuse: false };
    return { from: Math.max(from, this.#text?.firstMissing ?? 0), prefersReuse: this.#prefersReuse };
  }

  async prefill(committed: TokenPrefix): Promise<void> {
    const text = await this.#lookUp(committed);
    const numMissing = text.length - text.numCachedTokens;
    this.#prefersReuse = numMissing > Math.max(text.numCachedTokens, MAX_RECOMPUTED_TOKENS);
  }

  observe({ hiddenStates, end, numCommitted }: HiddenStateRows): void {
    const numRows = hiddenStates.length / this.#window.width;
    const start = end - numRows;
    const numUsable = Math.max(0, Math.min(numRows, numCommitted - start));
    this.#window.append(start, hiddenStates.subarray(0, numUsable * this.#window.width));
  }

  async propose({ committed, lengths }: ProposeCall): Promise<ProposeResult> {
    const length = lengths.ofDraft();
    if (this.#text?.isFull || length.numSpeculativeTokens === 0) return { kind: 'none' };
    if (this.#filling.isUnderWay) return { kind: 'warming' };
    if (this.#window.end < committed.length - 1) return { kind: 'warming' }; // the target's next pass brings what is missing
    const text = this.#extended(committed);
    if (text.length === 0) return { kind: 'none' }; // a prompt of one token has nothing before it

    if (text.length - text.numCachedTokens > MAX_INLINE_TOKENS) {
      this.#filling.start(text.propose(NO_GUESSES, this.#window));
      // The prompt is waited for, which keeps seeded answers reproducible; a lost text is cached in the background.
      if (this.#began) return { kind: this.#drafts.isAvailable ? 'warming' : 'unavailable' };
      this.#began = true;
      await this.#filling.wait(this.#drafts.timeoutMs);
      if (this.#filling.isUnderWay) return { kind: 'warming' };
    }
    this.#began = true;
    return text.propose(length, this.#window);
  }

  settle(): void {
    this.#text?.settle();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#closings, this.#text?.close()]);
  }

  /** The text as the draft can have it: from its base on where the window reaches back to what it lacks, else from there. */
  #extended(committed: TokenPrefix): ShiftedText {
    const { firstUsable } = this.#window;
    if (!this.#text || firstUsable > this.#text.firstMissing) return this.#begin(firstUsable, committed);
    this.#text.extend(committed);
    return this.#text;
  }

  /** What the draft has of a new text: from the beginning if the window holds the rest, else of the end that it holds. */
  async #lookUp(committed: TokenPrefix): Promise<ShiftedText> {
    const firstKept = committed.length - this.#window.maxRows;
    const whole = this.#begin(0, committed);
    await whole.lookUp();
    if (whole.firstMissing >= firstKept) return whole;
    // On a grid, so that a text that grows from turn to turn of a chat keeps its base for some turns.
    const grid = Math.ceil(this.#window.maxRows / 4);
    const end = this.#begin(Math.ceil(firstKept / grid) * grid, committed);
    await end.lookUp();
    return end;
  }

  #begin(base: number, committed: TokenPrefix): ShiftedText {
    if (this.#text) this.#closings.push(this.#text.close());
    this.#text = new ShiftedText(this.#drafts, this.#context, { base, committed });
    return this.#text;
  }
}
