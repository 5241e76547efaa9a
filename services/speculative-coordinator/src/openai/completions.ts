/** /v1/completions as a dialect. */
import type { Generator } from '../generation/generator.ts';
import { type CompletionRequest, completionRequestSchema } from './completion-request.ts';
import type { ChoicePart, Dialect } from './dialect.ts';
import { completionLogprobs } from './logprobs.ts';
import { completionOrders } from './orders.ts';
import { completionReplySchema } from './reply-schemas.ts';

const choice = (part: ChoicePart, generator: Generator) => ({
  index: part.index,
  text: part.text,
  logprobs: part.logprobTokens && completionLogprobs(part.logprobTokens, generator),
  finish_reason: part.finishReason,
});

export const completionDialect: Dialect<CompletionRequest> = {
  path: '/completions',
  idPrefix: 'cmpl',
  object: 'text_completion',
  chunkObject: 'text_completion',
  summary: 'Continue a text',
  schema: completionRequestSchema as never,
  replySchema: completionReplySchema,
  orders: completionOrders,
  wantsLogprobs: (body) => body.logprobs != null,
  choice,
  opening: () => null,
  chunk: choice,
};
