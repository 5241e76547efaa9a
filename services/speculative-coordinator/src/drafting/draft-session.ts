/** Where guesses come from, as the loop sees it. A drafter that has nothing to propose says so; it never fails. */
import type { DistributionRows, DraftSource, Timing, TokenPrefix } from '@forerunner/protocol';
import type { RoundLengths } from './draft-length.ts';

/** Who guessed: a model, the text that the client predicted, or the prompt and the answer so far. */
export type ProposalOrigin = DraftSource;

export interface Proposal {
  readonly kind: 'proposal';
  readonly origin: ProposalOrigin;
  readonly draftTokenIds: Int32Array; // [k], 1 <= k
  /** Distributions that the tokens were drawn from; null where each is one-hot, or nobody needs them. */
  readonly draftDistributions: DistributionRows | null; // k distributions
  /** What the draft-service says of its time; null: no service was asked. */
  readonly timing: Timing | null;
}

/**
 * No proposal. `none`: there is nothing to propose; `warming`: the draft is still caching the text; `unavailable`: it
 * does not answer. After the prompt the last two are degraded service.
 */
export interface NoProposal {
  readonly kind: 'none' | 'warming' | 'unavailable';
}

export type ProposeResult = Proposal | NoProposal;

export interface ProposeCall {
  readonly committed: TokenPrefix;
  readonly lengths: RoundLengths;
}

/** Hidden states of the tokens at positions ... end - 1; only those before `numCommitted` are of committed tokens. */
export interface HiddenStateRows {
  readonly hiddenStates: Float16Array; // [rows, width]
  readonly end: number;
  readonly numCommitted: number;
}

/** Which of the target's hidden states a draft wants of its next pass. */
export interface HiddenStatesWanted {
  /** Position of the first one: the draft holds what lies before, or does without it. */
  readonly from: number;
  /** The target need not compute again for them what it has cached: the draft can begin where they begin. */
  readonly prefersReuse: boolean;
}

/** The draft's side of one answer. */
export interface DraftSession {
  /** What the target's next pass is to bring; null: no hidden states. */
  hiddenStatesWanted(committed: TokenPrefix): HiddenStatesWanted | null;
  /**
   * Begins to cache the prompt; what it needs of the target comes by `observe`. Resolves, soon, when it is known what
   * that is. Never fails but for the caller's own abort.
   */
  prefill(committed: TokenPrefix): Promise<void>;
  propose(call: ProposeCall): Promise<ProposeResult>;
  /** After verification: how many tokens of the last proposal were kept. */
  settle(numAcceptedTokens: number): void;
  /** What the target saw in its last pass. Called after `settle`. */
  observe(rows: HiddenStateRows): void;
  /** Frees what the service holds. Never fails. */
  close(): Promise<void>;
}
