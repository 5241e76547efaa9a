/**
 * Guesses from a text that the client expects the answer to be (OpenAI's `prediction`): an edited file, a filled form.
 * Where the answer follows that text its next tokens are proposed; where it has left it the draft is asked, until the
 * answer comes back to the text. The target checks these guesses as it checks the draft's: each is one-hot.
 */
import type { TokenPrefix } from '@forerunner/protocol';
import { NO_GUESSES } from './background-fill.ts';
import type {
  DraftSession,
  HiddenStateRows,
  HiddenStatesWanted,
  ProposalOrigin,
  ProposeCall,
  ProposeResult,
} from './draft-session.ts';

/** The answer is back in the predicted text once this many of its last tokens in a row stand there. */
const MIN_MATCH = 3;

export class PredictionSession implements DraftSession {
  readonly #predicted: Int32Array;
  readonly #draft: DraftSession;
  /** Place in `predicted` that the answer has reached; null while it goes its own way. */
  #cursor: number | null = 0;
  /** The place that it last reached: after a detour, the text behind it is searched first. */
  #lastCursor = 0;
  #numRead: number;
  #asked: ProposalOrigin = 'draft';

  constructor(predicted: Int32Array, numPromptTokens: number, draft: DraftSession) {
    this.#predicted = predicted;
    this.#draft = draft;
    this.#numRead = numPromptTokens;
  }

  hiddenStatesWanted(committed: TokenPrefix): HiddenStatesWanted | null {
    return this.#draft.hiddenStatesWanted(committed);
  }

  async prefill(committed: TokenPrefix): Promise<void> {
    await this.#draft.prefill(committed);
  }

  async propose(call: ProposeCall): Promise<ProposeResult> {
    this.#follow(call.committed.ids());
    const start = this.#cursor ?? this.#predicted.length;
    const { numSpeculativeTokens } = start < this.#predicted.length ? call.lengthFor('prediction') : NO_GUESSES;
    const draftTokenIds = this.#predicted.slice(start, start + numSpeculativeTokens);
    this.#asked = draftTokenIds.length > 0 ? 'prediction' : 'draft';
    if (this.#asked === 'draft') return this.#draft.propose(call);
    return { kind: 'proposal', origin: 'prediction', draftTokenIds, draftDistributions: null, timing: null };
  }

  settle(numAcceptedTokens: number): void {
    if (this.#asked === 'draft') this.#draft.settle(numAcceptedTokens);
  }

  observe(rows: HiddenStateRows): void {
    this.#draft.observe(rows);
  }

  async close(): Promise<void> {
    await this.#draft.close();
  }

  /** Moves the cursor along what was emitted since the last call. */
  #follow(text: Int32Array): void {
    for (; this.#numRead < text.length; this.#numRead++) {
      if (this.#cursor !== null && this.#predicted[this.#cursor] === text[this.#numRead]) {
        this.#lastCursor = ++this.#cursor;
      } else {
        this.#cursor = this.#find(text.subarray(0, this.#numRead + 1));
        if (this.#cursor !== null) this.#lastCursor = this.#cursor;
      }
    }
  }

  /** Behind the place in the prediction where the text's last tokens stand, the nearest one onwards first. */
  #find(text: Int32Array): number | null {
    const count = this.#predicted.length;
    if (text.length < MIN_MATCH) return null;
    for (let i = 0; i <= count; i++) {
      const end = (this.#lastCursor + 1 + i) % (count + 1);
      if (end >= MIN_MATCH && this.#endsAlike(text, end)) return end;
    }
    return null;
  }

  #endsAlike(text: Int32Array, end: number): boolean {
    for (let back = 1; back <= MIN_MATCH; back++) {
      if (this.#predicted[end - back] !== text[text.length - back]) return false;
    }
    return true;
  }
}
