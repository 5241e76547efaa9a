/** /v1/completions as a dialect. */
import { completionAnswers } from './answer-params.ts';
import { type CompletionRequest, completionRequestSchema } from './completion-request.ts';
import type { ChoicePart, Dialect, Speller } from './dialect.ts';
import { completionLogprobs } from './logprobs.ts';
import { completionReplySchema } from './reply-schemas.ts';

const choice = (part: ChoicePart, codec: Speller) => ({
  index: part.index,
  text: part.text,
  logprobs: part.logprobTokens && completionLogprobs(part.logprobTokens, codec),
  finish_reason: part.finishReason,
});

export const completionDialect: Dialect<CompletionRequest> = {
  path: '/completions',
  idPrefix: 'cmpl',
  object: 'text_completion',
  chunkObject: 'text_completion',
  summary: 'Continue a text',
  schema: completionRequestSchema,
  replySchema: completionReplySchema,
  answers: completionAnswers,
  wantsLogprobs: (body) => body.logprobs != null,
  hasLogprobsOfEnd: true,
  choice,
  opening: (index, echo, codec) => echo && choice({ index, ...echo, finishReason: null }, codec),
  chunk: choice,
};
