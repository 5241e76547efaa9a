/** How an answer drafts: as its request says, and as the settings say where the request is silent. */
import type { GenerateRequest } from '@forerunner/protocol';
import type { CoordinatorConfig } from '../config.ts';

/** What a request may say about drafting. */
export type DraftingFields = Partial<Pick<GenerateRequest, 'speculative' | 'draft_k' | 'min_confidence'>>;

export interface DraftingParams {
  /** Tokens drafted per round, at most; 0: the target alone; absent: as many as pay. */
  readonly numSpeculativeTokens?: number | undefined;
  /** A proposal ends after a token that the draft gives less probability; absent: where it pays. */
  readonly minConfidence?: number | undefined;
}

type Settings = Pick<CoordinatorConfig, 'DEFAULT_DRAFT_TOKENS' | 'DEFAULT_MIN_CONFIDENCE' | 'MAX_DRAFT_TOKENS'>;

export class DraftingDefaults {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /**
   * Whoever names a draft_k gets proposals of that length, unless a confidence is named too. `predicted`: the client
   * foretold the answer, which is worth longer guesses than DEFAULT_DRAFT_TOKENS.
   */
  resolve(asked: DraftingFields, { predicted = false } = {}): DraftingParams {
    const { DEFAULT_DRAFT_TOKENS, DEFAULT_MIN_CONFIDENCE, MAX_DRAFT_TOKENS } = this.#settings;
    if (asked.speculative === false || MAX_DRAFT_TOKENS === 0) return { numSpeculativeTokens: 0 };
    if (typeof asked.draft_k === 'number') {
      return { numSpeculativeTokens: asked.draft_k, minConfidence: asked.min_confidence ?? 0 };
    }
    const minConfidence = asked.min_confidence ?? DEFAULT_MIN_CONFIDENCE;
    if (asked.draft_k === 'auto' || predicted || DEFAULT_DRAFT_TOKENS === undefined) return { minConfidence };
    return {
      numSpeculativeTokens: Math.min(DEFAULT_DRAFT_TOKENS, MAX_DRAFT_TOKENS),
      minConfidence: minConfidence ?? 0,
    };
  }
}
