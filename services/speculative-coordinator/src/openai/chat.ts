/** /v1/chat/completions as a dialect. */
import { type ChatRequest, chatRequestSchema } from './chat-request.ts';
import type { ChoicePart, Dialect } from './dialect.ts';
import { chatLogprobs } from './logprobs.ts';
import { chatOrders } from './orders.ts';
import { chatReplySchema } from './reply-schemas.ts';

const logprobsOf = ({ logprobTokens }: ChoicePart, generator: Parameters<typeof chatLogprobs>[1]) =>
  logprobTokens &&
  chatLogprobs(
    logprobTokens.map(({ token }) => token),
    generator,
  );

export const chatDialect: Dialect<ChatRequest> = {
  path: '/chat/completions',
  idPrefix: 'chatcmpl',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',
  summary: 'Answer a chat',
  schema: chatRequestSchema as never,
  replySchema: chatReplySchema,
  orders: chatOrders,
  wantsLogprobs: (body) => body.logprobs === true,
  choice: (part, generator) => ({
    index: part.index,
    message: { role: 'assistant', content: part.text, refusal: null },
    logprobs: logprobsOf(part, generator),
    finish_reason: part.finishReason,
  }),
  opening: (index) => ({
    index,
    delta: { role: 'assistant', content: '', refusal: null },
    logprobs: null,
    finish_reason: null,
  }),
  chunk: (part, generator) => ({
    index: part.index,
    delta: part.finishReason === null ? { content: part.text } : {},
    logprobs: logprobsOf(part, generator),
    finish_reason: part.finishReason,
  }),
};
