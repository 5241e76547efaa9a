/**
 * The session that the draft's card asks for, opened when that card is first known: a draft may join an answer that is
 * under way, and one kind of draft may take the place of the other. Sessions change only where a proposal is wanted, so
 * `settle` and `observe` reach the one that proposed.
 *
 * Until a card is known no hidden states are wanted: they would cost bytes in every reply where no draft ever comes. A
 * feature draft that joins begins in the middle of the text, with the first hidden states that it sees.
 */
import type { TokenPrefix } from '@forerunner/protocol';
import type { DraftPool } from '../pair/draft-pool.ts';
import { ClassicDraftSession } from './classic-draft-session.ts';
import type { DraftContext } from './draft-sequence.ts';
import type { DraftSession, HiddenStateRows, HiddenStatesWanted, ProposeCall, ProposeResult } from './draft-session.ts';
import { FeatureDraftSession } from './feature-draft-session.ts';

export interface CardDraftOptions {
  /** Hidden states that a session keeps for a draft that reads them, bytes. */
  readonly maxWindowBytes: number;
}

export class CardDraftSession implements DraftSession {
  readonly #drafts: DraftPool;
  readonly #context: DraftContext;
  readonly #options: CardDraftOptions;
  #session: DraftSession | null = null;
  /** Width of the hidden states that `#session` reads; 0: a classic draft. */
  #hiddenStatesWidth = 0;
  readonly #closings: Promise<void>[] = [];

  constructor(drafts: DraftPool, context: DraftContext, options: CardDraftOptions) {
    this.#drafts = drafts;
    this.#context = context;
    this.#options = options;
  }

  hiddenStatesWanted(committed: TokenPrefix): HiddenStatesWanted | null {
    return this.#session?.hiddenStatesWanted(committed) ?? null;
  }

  async prefill(committed: TokenPrefix): Promise<void> {
    await this.#current()?.prefill(committed);
  }

  async propose(call: ProposeCall): Promise<ProposeResult> {
    return this.#current()?.propose(call) ?? { kind: 'unavailable' };
  }

  settle(numAcceptedTokens: number): void {
    this.#session?.settle(numAcceptedTokens);
  }

  observe(rows: HiddenStateRows): void {
    this.#session?.observe(rows);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#closings, this.#session?.close()]);
  }

  /** null: no card yet. A draft whose card is withdrawn keeps its session: it may come back. */
  #current(): DraftSession | null {
    const { card } = this.#drafts;
    if (!card) return this.#session;
    const hiddenStatesWidth = card.hidden_states_wanted?.width ?? 0;
    if (this.#session && hiddenStatesWidth === this.#hiddenStatesWidth) return this.#session;
    if (this.#session) this.#closings.push(this.#session.close());
    this.#hiddenStatesWidth = hiddenStatesWidth;
    this.#session = this.#open(hiddenStatesWidth);
    return this.#session;
  }

  #open(hiddenStatesWidth: number): DraftSession {
    if (hiddenStatesWidth === 0) return new ClassicDraftSession(this.#drafts, this.#context);
    const { maxWindowBytes } = this.#options;
    return new FeatureDraftSession(this.#drafts, this.#context, { width: hiddenStatesWidth, maxWindowBytes });
  }
}
