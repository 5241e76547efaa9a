/** /v1/chat/completions as a dialect. */
import { chatAnswers } from './answer-params.ts';
import { type ChatRequest, chatRequestSchema } from './chat-request.ts';
import type { ChoicePart, Dialect, Speller } from './dialect.ts';
import { chatLogprobs } from './logprobs.ts';
import { chatReplySchema } from './reply-schemas.ts';
import { demandsStructure } from './structured-fields.ts';
import { openReader } from './tools/open-reader.ts';
import { offeredTools } from './tools/tool-fields.ts';

const logprobsOf = ({ logprobTokens }: ChoicePart, codec: Speller) =>
  logprobTokens &&
  chatLogprobs(
    logprobTokens.map(({ token }) => token),
    codec,
  );

export const chatDialect: Dialect<ChatRequest> = {
  path: '/chat/completions',
  idPrefix: 'chatcmpl',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  summary: 'Answer a chat',
  schema: chatRequestSchema,
  replySchema: chatReplySchema,
  answers: chatAnswers,
  wantsLogprobs: (body) => body.logprobs === true,
  hasLogprobsOfEnd: false,
  openReader: (body, { promptTokenIds }, codec) =>
    openReader(demandsStructure(body) ? [] : offeredTools(body), promptTokenIds, codec),
  choice: (part, codec) => ({
    index: part.index,
    message: { role: 'assistant', content: part.text, refusal: null, ...part.message },
    logprobs: logprobsOf(part, codec),
    finish_reason: part.finishReason,
  }),
  opening: (index) => ({
    index,
    delta: { role: 'assistant', content: '', refusal: null },
    logprobs: null,
    finish_reason: null,
  }),
  chunk: (part, codec) => ({
    index: part.index,
    delta: part.finishReason === null ? (part.message ?? { content: '' }) : {},
    logprobs: logprobsOf(part, codec),
    finish_reason: part.finishReason,
  }),
};
