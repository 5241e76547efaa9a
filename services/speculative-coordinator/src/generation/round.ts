/** One round of an answer, as whoever reads or counts the answer sees it. The prompt's own pass is round 0. */
import type { Provenance, Timing } from '@forerunner/protocol';
import type { Forecast } from '../drafting/draft-length.ts';
import type { ProposalOrigin, ProposeResult } from '../drafting/draft-session.ts';
import type { Guesses } from './guesses.ts';
import type { TokenLogprobs } from './logprobs.ts';

export interface EmittedToken {
  readonly tokenId: number;
  readonly provenance: Provenance;
  /** What this token added to the text; a stop string that begins later may still take it back. */
  readonly text: string;
  readonly logprobs: TokenLogprobs | null;
}

interface RoundTimes {
  /** When the proposal was asked for, on the clock of performance.now(). */
  readonly startMs: number;
  readonly proposeMs: number;
  /** Of that, waiting for the grammar; null: there is none. */
  readonly grammarMs: number | null;
  readonly scoreMs: number;
  /** Propose, score, verify and commit; what the reader of the round before took is no part of it. */
  readonly roundMs: number;
}

export interface RoundRecord {
  readonly index: number;
  readonly tokens: readonly EmittedToken[];
  /** Whole characters that can no longer change; may be empty. */
  readonly text: string;
  /** Whether there were guesses, or why not. */
  readonly proposal: ProposeResult['kind'];
  /** Who guessed: the grammar where nobody else did; null when there were no guesses. */
  readonly origin: ProposalOrigin | 'grammar' | null;
  /** Guesses that were allowed; 0 where nobody but a grammar guessed. */
  readonly limit: number;
  /** Guesses of the draft or a text that were checked, and kept. */
  readonly numDraftTokens: number;
  readonly numAcceptedTokens: number;
  /** All guesses that were checked, and the token after the kept ones, also where the answer ended before it. */
  readonly guesses: Pick<Guesses, 'tokenIds' | 'distributions'>;
  readonly nextTokenId: number;
  /** Guesses behind them that the grammar made, and those that were kept. */
  readonly numForcedTokens: number;
  readonly numAcceptedForcedTokens: number;
  /** Tokens of the text that the target had in a cached prefix, and so did not compute. */
  readonly numReusedTokens: number;
  /** Bytes of frames to and from both services since the round before. */
  readonly numBytes: number;
  readonly times: RoundTimes;
  /** What the services say of their part; null: the draft made no guess. */
  readonly timings: { readonly draft: Timing | null; readonly target: Timing };
  /** null: no guesses are planned. */
  readonly forecast: Forecast | null;
}

/** Told of an answer while it grows. */
export interface GenerationObserver {
  begin(numPromptTokens: number): void;
  observe(round: RoundRecord): void;
}
