/** How an answer drafts: as its request says, and as the settings say where the request is silent. */
import type { GenerateRequest } from '@forerunner/protocol';
import type { CoordinatorConfig } from '../config.ts';

/** What a request may say about drafting. */
export type DraftingFields = Partial<
  Pick<GenerateRequest, 'speculative' | 'draft_k' | 'min_confidence' | 'prompt_lookup'>
>;

export interface DraftingParams {
  /** Tokens that the draft guesses per round; 0: the target alone; absent: as many as pay. */
  readonly numSpeculativeTokens?: number | undefined;
  /** A proposal ends after a token that the draft gives less probability; absent: where it pays. */
  readonly minConfidence?: number | undefined;
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
   * text, as one that the client foretold, is worth longer guesses than DEFAULT_DRAFT_TOKENS.
   */
  resolve(asked: DraftingFields): DraftingParams {
    const { DEFAULT_DRAFT_TOKENS, DEFAULT_MIN_CONFIDENCE, MAX_DRAFT_TOKENS, PROMPT_LOOKUP } = this.#settings;
    const promptLookup = asked.prompt_lookup ?? PROMPT_LOOKUP;
    if (asked.speculative === false || MAX_DRAFT_TOKENS === 0) {
      return { numSpeculativeTokens: 0, promptLookup: false, maxTextTokens: 0 };
    }
    if (typeof asked.draft_k === 'number') {
      const { draft_k: numSpeculativeTokens, min_confidence: minConfidence = 0 } = asked;
      return { numSpeculativeTokens, minConfidence, promptLookup, maxTextTokens: numSpeculativeTokens };
    }
    const minConfidence = asked.min_confidence ?? DEFAULT_MIN_CONFIDENCE;
    const texts = { promptLookup, maxTextTokens: MAX_DRAFT_TOKENS };
    if (asked.draft_k === 'auto' || DEFAULT_DRAFT_TOKENS === undefined) return { minConfidence, ...texts };
    return {
      numSpeculativeTokens: Math.min(DEFAULT_DRAFT_TOKENS, MAX_DRAFT_TOKENS),
      minConfidence: minConfidence ?? 0,
      ...texts,
    };
  }
}
