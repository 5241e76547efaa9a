/** POST /tokenize and /detokenize, as vLLM has them: the tokens that a prompt or a chat would be, and back. */
import { boundedInteger, ServiceError } from '@forerunner/protocol';
import type { ServiceApp } from '@forerunner/service-kit';
import { z } from 'zod';
import { documented } from '../docs/documented.ts';
import type { PairDirectory } from '../pair/directory.ts';
import { chatPrompt } from './chat-prompt.ts';
import { messagesSchema } from './chat-request.ts';
import { toolFields } from './tools/tool-fields.ts';
import { oneEndOfPrompt, templateFields } from './vllm-fields.ts';

const model = z.string().nullish().describe('As /v1/models names it; the model that is served when absent.');
const MAX_TOKENS = 1 << 20;

const tokenizeRequestSchema = z
  .strictObject({
    model,
    prompt: z.string().optional().describe('Raw text.'),
    messages: messagesSchema.optional().describe('A chat. Exactly one of prompt and messages.'),
    parse_special: z.boolean().nullish().describe('Names of special tokens in "prompt" become those tokens.'),
    add_special_tokens: z
      .boolean()
      .nullish()
      .describe('false: without the special tokens that the tokenizer puts around a prompt. A chat never has them.'),
    return_token_strs: z.boolean().nullish().describe('The text of each token, too.'),
    ...templateFields,
    tools: toolFields.tools,
  })
  .refine((body) => (body.prompt === undefined) !== (body.messages === undefined), {
    error: 'give exactly one of "prompt" and "messages"',
  })
  .refine(...oneEndOfPrompt)
  .meta({ examples: [{ prompt: 'The sky is blue.' }] });

const detokenizeRequestSchema = z
  .strictObject({
    model,
    tokens: z.array(boundedInteger(0, 2 ** 31 - 1, 'token id')).max(MAX_TOKENS),
  })
  .meta({ examples: [{ tokens: [504, 6376, 314] }] });

const tokenizeDocs = documented({
  summary: 'Tokens of a text or a chat',
  tag: 'Generation',
  reply: z.object({
    count: z.int(),
    max_model_len: z.int().describe('The longest text that the model reads, answer included.'),
    tokens: z.array(z.int()),
    token_strs: z.array(z.string()).nullable(),
  }),
});
const detokenizeDocs = documented({
  summary: 'Text of tokens',
  tag: 'Generation',
  reply: z.object({ prompt: z.string().describe('Special tokens stand in it by name.') }),
});

export function registerTokenizeRoutes(app: ServiceApp, pairs: PairDirectory): void {
  app.post('/tokenize', { schema: { ...tokenizeDocs, body: tokenizeRequestSchema } }, async ({ body }) => {
    const { codec, card } = pairs.find(body.model);
    const tokens =
      body.messages === undefined
        ? codec.encodeText(body.prompt ?? '', {
            parseSpecial: body.parse_special ?? false,
            addSpecialTokens: body.add_special_tokens ?? true,
          })
        : chatPrompt({ ...body, messages: body.messages }, codec);
    return {
      count: tokens.length,
      max_model_len: card.context_length,
      tokens: [...tokens],
      token_strs: body.return_token_strs ? Array.from(tokens, (id) => codec.spellToken(id).text) : null,
    };
  });

  app.post('/detokenize', { schema: { ...detokenizeDocs, body: detokenizeRequestSchema } }, async ({ body }) => {
    const { codec, card } = pairs.find(body.model);
    const bad = body.tokens.find((id) => id >= card.vocab_size);
    if (bad !== undefined) {
      const message = `"tokens": there is no token ${bad}; the vocabulary has ${card.vocab_size}`;
      throw new ServiceError('token_out_of_range', message, { field: 'tokens' });
    }
    return { prompt: codec.decode(body.tokens) };
  });
}
