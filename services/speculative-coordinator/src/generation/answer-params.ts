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
  /** Absent: DEFAULT_VERIFICATION. */
  readonly verification?: VerificationRuleName | undefined;
  readonly stop: readonly string[];
  readonly ignoreEos: boolean;
  /** These end the answer, too, also where end-of-sequence does not. */
  readonly stopTokenIds?: readonly number[] | undefined;
  /** What ended the answer stays in its text. */
  readonly includeStop?: boolean | undefined;
  /** The answer does not end by itself before it has so many tokens. */
  readonly minNewTokens?: number | undefined;
  /** Absent: true. */
  readonly skipSpecialTokens?: boolean | undefined;
  /** The reply begins with the prompt. */
  readonly echo?: boolean | undefined;
  /** null: no log probabilities. */
  readonly numTopLogprobs: number | null;
  /** What the client expects the answer to be, as tokens: guessed before the draft is asked. */
  readonly predictionTokenIds?: Int32Array | undefined;
  /** A receipt is wanted. Absent: none. */
  readonly receipt?: boolean | undefined;
  /** What the answer must match. */
  readonly grammar?: GrammarSource | undefined;
}

/** Errors: invalid_request for a draft_k that is too large, or an end that contradicts a grammar's; context_length_exceeded, token_out_of_range. */
export function checkAnswer(params: AnswerParams, card: ModelCard, maxSpeculativeTokens: number): void {
  const { numSpeculativeTokens, promptTokenIds, maxNewTokens, sampling } = params;
  if (numSpeculativeTokens !== undefined && numSpeculativeTokens > maxSpeculativeTokens) {
    const message = `"draft_k": must be at most ${maxSpeculativeTokens} (MAX_DRAFT_TOKENS), got ${numSpeculativeTokens}`;
    throw new ServiceError('invalid_request', message);
  }
  if (params.grammar && params.ignoreEos) throw endsWithGrammar('ignore_eos');
  if (params.grammar && params.minNewTokens) throw endsWithGrammar('min_tokens');
  const limit = card.context_length;
  const numPromptTokens = promptTokenIds.length;
  if (numPromptTokens + maxNewTokens > limit) {
    throw new ServiceError(
      'context_length_exceeded',
      `a prompt of ${numPromptTokens} tokens and ${maxNewTokens} new ones exceed the context of ${limit} tokens`,
      { prompt_tokens: numPromptTokens, max_new_tokens: maxNewTokens, context_length: limit },
    );
  }
  const badId = sampling.suppress_tokens.find((id) => id >= card.vocab_size);
  if (badId !== undefined) {
    const message = `"suppress_tokens": there is no token ${badId}; the vocabulary has ${card.vocab_size}`;
    throw new ServiceError('token_out_of_range', message, { field: 'suppress_tokens' });
  }
  if ((params.minNewTokens ?? 0) > maxNewTokens) {
    const message = `"min_tokens": must be at most the ${maxNewTokens} new tokens, got ${params.minNewTokens}`;
    throw new ServiceError('invalid_request', message, { field: 'min_tokens' });
  }
  const badStop = params.stopTokenIds?.find((id) => id >= card.vocab_size);
  if (badStop !== undefined) {
    const message = `"stop_token_ids": there is no token ${badStop}; the vocabulary has ${card.vocab_size}`;
    throw new ServiceError('token_out_of_range', message, { field: 'stop_token_ids' });
  }
  const badBias = Object.keys(sampling.logit_bias).find((id) => Number(id) >= card.vocab_size);
  if (badBias !== undefined) {
    throw new ServiceError(
      'token_out_of_range',
      `"logit_bias": there is no token ${badBias}; the vocabulary has ${card.vocab_size}`,
    );
  }
}

const endsWithGrammar = (field: string) =>
  new ServiceError('invalid_request', `"${field}": an answer that must match something ends with it: leave it out`, {
    field,
  });
