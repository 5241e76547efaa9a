/** The body of POST /v1/responses: as much of it as a server that keeps nothing can answer. */
import { boundedInteger, MAX_NEW_TOKENS } from '@forerunner/protocol';
import { z } from 'zod';
import type { GrammarSource } from '../../generation/grammar/grammar-engine.ts';
import { commonFields, MAX_TOP_LOGPROBS } from '../fields.ts';
import { onlyDefault, takenChatFields } from '../only-default.ts';
import { formatGrammar, jsonSchemaFields } from '../structured-fields.ts';
import { offeredTools, requiredTools, toolNamesDiffer, toolsAreWhole } from '../tools/tool-fields.ts';
import { templateFields } from '../vllm-fields.ts';
import { inputSchema, messagesOf } from './input.ts';
import { flatToolFields } from './tools.ts';

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
    ...flatToolFields,
    max_tool_calls: onlyDefault('max_tool_calls', []),
    previous_response_id: onlyDefault('previous_response_id', []),
    conversation: onlyDefault('conversation', []),
    prompt: onlyDefault('prompt', []),
    background: onlyDefault('background', [false]),
    truncation: onlyDefault('truncation', ['disabled']),
  })
  .refine(...toolsAreWhole)
  .refine(...toolNamesDiffer)
  .refine((body) => requiredTools(body) === null || !demandsFormat(body), {
    error: 'a call that is required and a format of the answer exclude each other',
    path: ['tool_choice'],
  })
  .refine((body) => offeredTools(body).length === 0 || !body.include?.includes(LOGPROBS), {
    error: `${LOGPROBS} cannot go together with tools: calls have no log probabilities`,
    path: ['include'],
  })
  .refine((body) => body.top_logprobs == null || body.include?.includes(LOGPROBS), {
    error: `only allowed together with "${LOGPROBS}" in "include"`,
    path: ['top_logprobs'],
  })
  .meta({ examples: [{ input: 'Explain why the sky is blue.', max_output_tokens: 60, temperature: 0 }] });
export type ResponseRequest = z.output<typeof responseRequestSchema>;

/** The chat that the request means. */
export function chatOf(body: ResponseRequest) {
  const { input, instructions, reasoning, tools, tool_choice, chat_template_kwargs } = body;
  const said = instructions == null ? [] : [{ role: 'system', content: instructions }];
  return {
    messages: [...said, ...messagesOf(input)],
    tools,
    tool_choice,
    chat_template_kwargs,
    reasoning_effort: reasoning?.effort,
  };
}

/** Whether the answer must match a format. */
export const demandsFormat = ({
  text,
}: {
  readonly text?: { readonly format?: { readonly type: string } | null | undefined } | null | undefined;
}): boolean => text?.format != null && text.format.type !== 'text';

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
