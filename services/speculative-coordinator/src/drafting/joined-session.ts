/**
 * The guesses of one answer, from whoever promises the most tokens per millisecond in a round: the text that the client
 * predicted, the prompt and the answer themselves, or the draft. A text costs no call to any service and is followed token
 * by token; the draft is asked where no text promises as much, and catches up on what it missed in that one call. What the
 * guesses turn out to be is no part of the choice, so each source keeps its own distribution: a text's guess is one-hot.
 */
import type { TokenPrefix } from '@forerunner/protocol';
import { MAX_INLINE_TOKENS } from './background-fill.ts';
import type {
  DraftSession,
  HiddenStateRows,
  HiddenStatesWanted,
  Proposal,
  ProposalOrigin,
  ProposeCall,
  ProposeResult,
} from './draft-session.ts';
import { FollowedText } from './lookup/followed-text.ts';
import { LOOKUP_PRIOR, MatchAcceptance, PREDICTION_PRIOR } from './lookup/match-acceptance.ts';
import { keptChances } from './lookup/plan-guesses.ts';

export interface TextGuesses {
  readonly numPromptTokens: number;
  /** What the client expects the answer to be. */
  readonly predictionTokenIds?: Int32Array | undefined;
  /** Guess from the prompt and the answer. */
  readonly promptLookup: boolean;
  /** Guesses of a text per round, at most. */
  readonly maxTextTokens: number;
}

/** A text of the client's own may go on after words that occur anywhere: two tokens are no way back into it. */
const MIN_MATCH = { prediction: 3, lookup: 2 } as const;

interface TextSource {
  readonly origin: Exclude<ProposalOrigin, 'draft'>;
  readonly text: FollowedText;
  readonly acceptance: MatchAcceptance;
}

interface TextPlan {
  readonly source: TextSource;
  readonly numGuesses: number;
  readonly tokensPerMs: number;
}

export class JoinedSession implements DraftSession {
  readonly #draft: DraftSession | null;
  readonly #sources: readonly TextSource[];
  readonly #maxTextTokens: number;
  #lastOrigin: ProposalOrigin | null = null;
  /** Length of the text at the draft's last proposal; of the prompt before there was one. */
  #draftedAt: number;

  /** `draft` null: texts alone. */
  constructor(draft: DraftSession | null, texts: TextGuesses) {
    this.#draft = draft;
    this.#draftedAt = texts.numPromptTokens;
    this.#maxTextTokens = texts.maxTextTokens;
    this.#sources = openSources(texts);
  }

  hiddenStatesWanted(committed: TokenPrefix): HiddenStatesWanted | null {
    return this.#draft?.hiddenStatesWanted(committed) ?? null;
  }

  async prefill(committed: TokenPrefix): Promise<void> {
    // After the call that this answer makes next: the target reads the prompt at the same time.
    setImmediate(() => {
      for (const { text } of this.#sources) text.prepare(committed.ids());
    });
    await this.#draft?.prefill(committed);
  }

  async propose(call: ProposeCall): Promise<ProposeResult> {
    const text = this.#planOf(call);
    const draft = this.#draft && call.lengths.ofDraft();
    const asksDraft = draft !== null && draft.numSpeculativeTokens > 0;
    if (text && !(asksDraft && draft.forecast.tokensPerMs > text.tokensPerMs)) return this.#propose(text);
    const result: ProposeResult = asksDraft ? await this.#draft!.propose(call) : { kind: 'none' };
    if (result.kind === 'proposal') {
      this.#lastOrigin = 'draft';
      this.#draftedAt = call.committed.length;
      return result;
    }
    if (text) return this.#propose(text);
    return result.kind === 'warming' && this.#wasPassedOver(call.committed.length) ? { kind: 'none' } : result;
  }

  settle(numAcceptedTokens: number): void {
    if (this.#lastOrigin === 'draft') this.#draft?.settle(numAcceptedTokens);
  }

  observe(rows: HiddenStateRows): void {
    this.#draft?.observe(rows);
  }

  async close(): Promise<void> {
    await this.#draft?.close();
  }

  /** The draft was not asked for so long that it has to catch up: its caching of what others guessed is no loss. */
  #wasPassedOver(numTokens: number): boolean {
    return numTokens - this.#draftedAt > MAX_INLINE_TOKENS;
  }

  /** The text that promises most, the first of equals; null: none promises anything. */
  #planOf({ committed, lengths }: ProposeCall): TextPlan | null {
    const tokens = committed.ids();
    let best: TextPlan | null = null;
    for (const source of this.#sources) {
      const { origin, text, acceptance } = source;
      text.follow(tokens);
      const kept = keptChances(text.matchLength, (length) => acceptance.rate(length), this.#maxTextTokens);
      if (kept.length === 0) continue;
      const { numSpeculativeTokens: numGuesses, forecast } = lengths.ofText(origin, kept);
      if (numGuesses === 0 || (best && best.tokensPerMs >= forecast.tokensPerMs)) continue;
      best = { source, numGuesses, tokensPerMs: forecast.tokensPerMs };
    }
    return best;
  }

  #propose({ source, numGuesses }: TextPlan): Proposal {
    this.#lastOrigin = source.origin;
    const draftTokenIds = source.text.next(numGuesses);
    return { kind: 'proposal', origin: source.origin, draftTokenIds, draftDistributions: null, timing: null };
  }
}

/** The prediction first: of two texts that promise the same it is taken. */
function openSources({ numPromptTokens, predictionTokenIds, promptLookup }: TextGuesses): TextSource[] {
  const open = (origin: TextSource['origin'], text?: Int32Array): TextSource => {
    const acceptance = new MatchAcceptance(origin === 'prediction' ? PREDICTION_PRIOR : LOOKUP_PRIOR);
    const onToken = (matchLength: number, wasForeseen: boolean) => acceptance.observe(matchLength, wasForeseen);
    const minMatch = MIN_MATCH[origin];
    return { origin, acceptance, text: new FollowedText({ text, numPromptTokens, minMatch, onToken }) };
  };
  return [
    ...(predictionTokenIds?.length ? [open('prediction', predictionTokenIds)] : []),
    ...(promptLookup ? [open('lookup')] : []),
  ];
}
