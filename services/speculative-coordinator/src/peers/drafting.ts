/** Where guesses come from, as the loop sees it. A drafter that has nothing to propose says so; it never fails. */
import type { TokenPrefix } from '@forerunner/protocol';
import type { TokenDistribution } from '@forerunner/sampling';

export interface Proposal {
  readonly draftTokenIds: Int32Array; // [k], 1 <= k
  /** Distributions that the tokens were drawn from; null where each is one-hot (greedy). */
  readonly draftDistributions: readonly TokenDistribution[] | null; // [k]
  /** Who guessed: a model, or the text that the client predicted. The two are counted apart. */
  readonly origin?: 'draft' | 'prediction';
}

/** Why there is no proposal. `unavailable` is what counts as degraded service. */
export type Absence = 'unavailable' | 'warming' | 'none';

export interface ProposeCall {
  readonly committed: TokenPrefix;
  readonly numSpeculativeTokens: number;
}

/** Hidden states of the tokens at positions ... end - 1; only those before `numCommitted` are of committed tokens. */
export interface HiddenStateRows {
  readonly hiddenStates: Float16Array; // [rows, width]
  readonly end: number;
  readonly numCommitted: number;
}

/** The draft's side of one request. */
export interface DraftSession {
  /** Hidden states of so many of the latest tokens are wanted from the target; 0: none. */
  readonly hiddenStateWindow: number;
  /** Begins to cache the prompt; what it needs of the target comes by `observe`. */
  prefill(committed: TokenPrefix): void;
  propose(call: ProposeCall): Promise<Proposal | Absence>;
  /** After verification: so many tokens of the last proposal were kept. */
  settle(numAcceptedTokens: number): void;
  /** What the target saw in its last pass. Called after `settle`. */
  observe(rows: HiddenStateRows): void;
  /** Frees what the service holds. Never fails. */
  close(): Promise<void>;
}
