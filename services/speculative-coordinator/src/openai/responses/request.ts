/** The body of POST /v1/responses: as much of it as a server that keeps nothing can answer with text. */
import { boundedInteger, MAX_NEW_TOKENS } from '@forerunner/protocol';
import type { ChatTurn } from '@forerunner/tokenizer';
import { z } from 'zod';
import type { GrammarSource } from '../../generation/grammar/grammar-engine.ts';
import { commonFields, MAX_TOP_LOGPROBS } from '../fields.ts';
import { onlyDefault, takenChatFields } from '../only-default.ts';
import { formatGrammar, jsonSchemaFields } from '../structured-fields.ts';
import { templateFields } from '../vllm-fields.ts';

/** As response_format of a chat has them, but flat. */
const textFormatSchema = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({ type: z.literal('json_schema'), ...jsonSchemaFields }),
  ],
  { error: 'must have the type text, json_object or json_schema' },
);

const LOGPROBS = 'message.output_text.logprobs';

/** Texts that go in, and those of an earlier reply, which carry more. */
const partSchema = z.union([
  z.strictObject({ type: z.literal('input_text'), text: z.string() }),
  z.strictObject({
    type: z.literal('output_text'),
    text: z.string(),
    annotations: z.array(z.unknown()).nullish(),
    logprobs: z.array(z.unknown()).nullish(),
  }),
]);

const messageSchema = z
  .strictObject({
    type: z
      .literal('message', {
        error: ({ input }) =>
          `items of type ${JSON.stringify(input)?.slice(0, 60)} are not supported; only messages are`,
      })
      .optional(),
    role: z.enum(['system', 'developer', 'user', 'assistant'], {
      error: 'must be system, developer, user or assistant',
    }),
    content: z
      .union([z.string(), z.array(partSchema).min(1)], {
        error: 'must be a string, or an array of {"type": "input_text", "text": "..."}; other content is not supported',
      })
      .transform((content) => (typeof content === 'string' ? content : content.map(({ text }) => text).join(''))),
    // What a reply's own message carries, so that it can be sent back as it came.
    id: z.string().nullish(),
    status: z.string().nullish(),
    phase: z.string().nullish(),
  })
  .transform(({ role, content }): ChatTurn => ({ role: role === 'developer' ? 'system' : role, content }));

const { $schema: _, ...messageJson } = z.toJSONSchema(messageSchema, { io: 'input' });

/** A text alone is what the user says. */
const inputSchema = z
  .preprocess(
    (input) => (typeof input === 'string' && input !== '' ? [{ role: 'user', content: input }] : input),
    z.array(messageSchema, { error: 'must be a text, or an array of messages, not empty' }).min(1, 'must not be empty'),
  )
  .meta({
    description: "What to answer: a text, or the messages so far, written out by the model's own template.",
    anyOf: [
      { type: 'string', minLength: 1 },
      { type: 'array', minItems: 1, items: messageJson },
    ],
  });

const { n: _n, stream_options: _streamOptions, ...shared } = commonFields;
const { chat_template_kwargs } = templateFields;

export const responseRequestSchema = z
  .strictObject({
    ...shared,
    input: inputSchema,
    instructions: z.string().nullish().describe('A system message before the input.'),
    max_output_tokens: boundedInteger(1, MAX_NEW_TOKENS, 'tokens')
      .nullish()
      .describe('Longest answer; up to the end of the context when absent.'),
    include: z
      .array(z.literal(LOGPROBS, { error: `only ${LOGPROBS} is supported` }))
      .nullish()
      .describe('Whether log probabilities are told.'),
    top_logprobs: boundedInteger(0, MAX_TOP_LOGPROBS, 'alternatives per token')
      .nullish()
      .describe(`Alternatives per token. Only with ${LOGPROBS} in include.`),
    reasoning: z
      .strictObject({
        effort: templateFields.reasoning_effort,
        summary: onlyDefault('summary', ['auto']),
        generate_summary: onlyDefault('generate_summary', []),
      })
      .nullish()
      .describe('effort is given to the chat template as its variable reasoning_effort.'),
    text: z
      .strictObject({
        format: textFormatSchema.nullish(),
        ...takenChatFields,
      })
      .nullish()
      .describe('What the answer must match; json_schema: a value of that schema, strict or not.'),
    chat_template_kwargs,
    stream_options: z.strictObject({ include_obfuscation: onlyDefault('include_obfuscation', [false]) }).nullish(),
    tools: onlyDefault('tools', [[]]),
    tool_choice: onlyDefault('tool_choice', ['none', 'auto']),
    parallel_tool_calls: onlyDefault('parallel_tool_calls', [true, false]),
    max_tool_calls: onlyDefault('max_tool_calls', []),
    previous_response_id: onlyDefault('previous_response_id', []),
    conversation: onlyDefault('conversation', []),
    prompt: onlyDefault('prompt', []),
    background: onlyDefault('background', [false]),
    truncation: onlyDefault('truncation', ['disabled']),
  })
  .refine((body) => body.top_logprobs == null || body.include?.includes(LOGPROBS), {
    error: `only allowed together with "${LOGPROBS}" in "include"`,
    path: ['top_logprobs'],
  })
  .meta({ examples: [{ input: 'Explain why the sky is blue.', max_output_tokens: 60, temperature: 0 }] });
export type ResponseRequest = z.output<typeof responseRequestSchema>;

/** The chat that the request means. */
export function turnsOf({ input, instructions }: Pick<ResponseRequest, 'input' | 'instructions'>): ChatTurn[] {
  return instructions == null ? input : [{ role: 'system', content: instructions }, ...input];
}

/** undefined: the answer is free. Errors: invalid_request naming the part. */
export function grammarOf({ text }: Pick<ResponseRequest, 'text'>): GrammarSource | undefined {
  const format = text?.format;
  return format?.type === 'json_schema'
    ? formatGrammar(format.type, { field: 'text.format.schema', schema: format.schema })
    : formatGrammar(format?.type, { field: 'text.format' });
}

/** null: none are told. */
export function numTopLogprobsOf({ include, top_logprobs }: ResponseRequest): number | null {
  return include?.includes(LOGPROBS) ? (top_logprobs ?? 0) : null;
}
