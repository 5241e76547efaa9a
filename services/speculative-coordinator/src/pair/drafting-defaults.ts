/** How an answer drafts: as its request says, and as the settings say where the request is silent. */
import type { GenerateRequest } from '@forerunner/protocol';
import type { CoordinatorConfig } from '../config.ts';

/** What a request may say about drafting. */
export type DraftingFields = Partial<
  Pick<GenerateRequest, 'speculative' | 'draft_k' | 'min_confidence' | 'prompt_lookup'>
>;

export interface DraftingParams {
  /** Tokens drafted per round, at most; 0: the target alone. */
  readonly numSpeculativeTokens: number;
  /** A proposal ends after a token that the draft gives less probability. */
  readonly minConfidence: number;
  /** Guess what the prompt and the answer so far repeat. */
  readonly promptLookup: boolean;
  /** Tokens guessed per round of a text that the answer repeats, at most. */
  readonly maxTextTokens: number;
}

type Settings = Pick<
  CoordinatorConfig,
  'DEFAULT_DRAFT_TOKENS' | 'DEFAULT_MIN_CONFIDENCE' | 'MAX_DRAFT_TOKENS' | 'PROMPT_LOOKUP'
>;

export class DraftingDefaults {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /**
   * Whoever names a draft_k gets proposals of that length, unless a confidence is named too. An answer that repeats a
   * text, as one that the client foretold, is worth the longest guesses.
   */
  resolve(asked: DraftingFields): DraftingParams {
    const { DEFAULT_DRAFT_TOKENS, DEFAULT_MIN_CONFIDENCE, MAX_DRAFT_TOKENS, PROMPT_LOOKUP } = this.#settings;
    const usual = Math.min(DEFAULT_DRAFT_TOKENS, MAX_DRAFT_TOKENS);
    return {
      numSpeculativeTokens: asked.speculative === false ? 0 : (asked.draft_k ?? usual),
      minConfidence: asked.min_confidence ?? (asked.draft_k === undefined ? DEFAULT_MIN_CONFIDENCE : 0),
      promptLookup: asked.prompt_lookup ?? PROMPT_LOOKUP,
      maxTextTokens: asked.draft_k ?? MAX_DRAFT_TOKENS,
    };
  }
}
