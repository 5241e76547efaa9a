/** What a route asks for, in one shape, and what only the pair's card can refuse of it. */
import { type ModelCard, ServiceError, type VerificationRuleName, type WireSampling } from '@forerunner/protocol';
import type { DraftingParams } from '../pair/drafting-defaults.ts';
import type { GrammarSource } from './grammar/grammar-engine.ts';

export interface AnswerParams extends DraftingParams {
  readonly promptTokenIds: Int32Array;
  readonly maxNewTokens: number;
  readonly sampling: Omit<WireSampling, 'output_start'>;
  /** Absent: drawn at random. */
  readonly seed?: number | undefined;
  /** Absent: rejection. */
  readonly verification?: VerificationRuleName | undefined;
  readonly stop: readonly string[];
  readonly ignoreEos: boolean;
  /** null: no log probabilities. */
  readonly numTopLogprobs: number | null;
  /** What the client expects the answer to be, as tokens: guessed before the draft is asked. */
  readonly predictionTokenIds?: Int32Array | undefined;
  /** What the answer must match. */
  readonly grammar?: GrammarSource | undefined;
}

/** Errors: invalid_request for a draft_k that is too large, context_length_exceeded, token_out_of_range. */
export function checkAnswer(params: AnswerParams, card: ModelCard, maxSpeculativeTokens: number): void {
  const { numSpeculativeTokens, promptTokenIds, maxNewTokens, sampling } = params;
  if (numSpeculativeTokens > maxSpeculativeTokens) {
    const message = `"draft_k": must be at most ${maxSpeculativeTokens} (MAX_DRAFT_TOKENS), got ${numSpeculativeTokens}`;
    throw new ServiceError('invalid_request', message);
  }
  const limit = card.context_length;
  const numPromptTokens = promptTokenIds.length;
  if (numPromptTokens + maxNewTokens > limit) {
    throw new ServiceError(
      'context_length_exceeded',
      `a prompt of ${numPromptTokens} tokens and ${maxNewTokens} new ones exceed the context of ${limit} tokens`,
      { prompt_tokens: numPromptTokens, max_new_tokens: maxNewTokens, context_length: limit },
    );
  }
  const badBias = Object.keys(sampling.logit_bias).find((id) => Number(id) >= card.vocab_size);
  if (badBias !== undefined) {
    throw new ServiceError(
      'token_out_of_range',
      `"logit_bias": there is no token ${badBias}; the vocabulary has ${card.vocab_size}`,
    );
  }
}
