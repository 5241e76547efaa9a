/** The body of POST /v1/chat/completions. */
import { boundedInteger, MAX_NEW_TOKENS } from '@forerunner/protocol';
import { z } from 'zod';
import { commonFields, MAX_TOP_LOGPROBS, streamOptionsNeedStream } from './fields.ts';
import { onlyDefault, takenChatFields } from './only-default.ts';
import { demandsStructure, oneStructuredField, structuredFields } from './structured-fields.ts';
import { requiredTools, toolCallsSchema, toolFields, toolNamesDiffer, toolsAreWhole } from './tools/tool-fields.ts';
import { oneEndOfPrompt, templateFields } from './vllm-fields.ts';

const textSchema = z
  .union([z.string(), z.array(z.strictObject({ type: z.literal('text'), text: z.string() })).min(1)], {
    error: 'must be a string, or an array of {"type": "text", "text": "..."}; other content is not supported',
  })
  .transform((content) => (typeof content === 'string' ? content : content.map((part) => part.text).join('')));

const messageSchema = z
  .strictObject({
    role: z.enum(['system', 'developer', 'user', 'assistant', 'tool'], {
      error: 'must be system, developer, user, assistant or tool',
    }),
    content: textSchema.nullish(),
    name: z.string().min(1).max(64).nullish().describe('Given to the chat template, which may write it.'),
    tool_calls: toolCallsSchema.nullish().describe('Calls of an assistant.'),
    tool_call_id: z.string().max(128).nullish().describe('The call whose result a tool message is.'),
    reasoning_content: z.string().nullish().describe('Thoughts of an earlier answer; not given to the model again.'),
    // What a reply's own message carries, so that it can be sent back as it came.
    refusal: onlyDefault('refusal', []),
    annotations: onlyDefault('annotations', [[]]),
    audio: onlyDefault('audio', []),
    function_call: onlyDefault('function_call', []),
  })
  .refine(({ role, content }) => content != null || role === 'assistant', {
    error: 'must be a text, or text parts; only an assistant may have said nothing',
    path: ['content'],
  })
  .refine(({ role, tool_calls: calls }) => role === 'assistant' || !calls?.length, {
    error: 'only an assistant calls tools',
    path: ['tool_calls'],
  })
  .refine(({ role, tool_call_id: id }) => (role === 'tool') === (id != null), {
    error: 'a message of the role tool has it, and no other',
    path: ['tool_call_id'],
  })
  .transform(({ role, content, name, tool_calls: calls, tool_call_id: id }) => ({
    role: role === 'developer' ? ('system' as const) : role,
    content: content ?? '',
    ...(name != null && { name }),
    ...(calls?.length && { tool_calls: calls }),
    ...(id != null && { tool_call_id: id }),
  }));

export const messagesSchema = z.array(messageSchema).min(1, 'must not be empty');

const tokenLimit = boundedInteger(1, MAX_NEW_TOKENS, 'tokens').nullish();

export const chatRequestSchema = z
  .strictObject({
    ...commonFields,
    messages: messagesSchema.describe("The chat so far, written out by the model's own template."),
    max_completion_tokens: tokenLimit.describe('Longest answer; up to the end of the context when absent.'),
    max_tokens: tokenLimit.describe('Older name of max_completion_tokens.'),
    logprobs: z
      .boolean()
      .nullish()
      .describe("Log probabilities of the model's own distribution, before temperature and filters."),
    top_logprobs: boundedInteger(0, MAX_TOP_LOGPROBS, 'alternatives per token')
      .nullish()
      .describe('How many alternatives per token. Only with logprobs.'),
    prediction: z
      .strictObject({ type: z.literal('content'), content: textSchema })
      .nullish()
      .describe(
        'Text that the answer will largely repeat: its tokens are guessed where the answer follows it. Never changes the distribution of the answer.',
      ),
    ...structuredFields,
    ...toolFields,
    functions: onlyDefault('functions', [[]]),
    function_call: onlyDefault('function_call', ['none', 'auto']),
    modalities: onlyDefault('modalities', [['text']]),
    audio: onlyDefault('audio', []),
    ...templateFields,
    ...takenChatFields,
    echo: onlyDefault('echo', [false]),
    add_special_tokens: onlyDefault('add_special_tokens', [false]),
    web_search_options: onlyDefault('web_search_options', []),
  })
  .refine(...streamOptionsNeedStream)
  .refine(...oneEndOfPrompt)
  .refine(...oneStructuredField)
  .refine(...toolsAreWhole)
  .refine(...toolNamesDiffer)
  .refine((body) => requiredTools(body) === null || !demandsStructure(body), {
    error: 'a call that is required and a format of the answer exclude each other',
    path: ['tool_choice'],
  })
  .refine((body) => body.max_tokens == null || body.max_completion_tokens == null, {
    error: 'give max_completion_tokens or max_tokens, not both',
    path: ['max_tokens'],
  })
  .refine((body) => body.top_logprobs == null || body.logprobs === true, {
    error: 'only allowed together with "logprobs": true',
    path: ['top_logprobs'],
  })
  .refine((body) => body.prediction == null || body.forerunner?.speculative !== false, {
    error: 'has no use with "forerunner.speculative": false, which asks for the target alone',
    path: ['prediction'],
  })
  .meta({
    examples: [
      {
        messages: [{ role: 'user', content: 'Explain why the sky is blue.' }],
        max_completion_tokens: 60,
        temperature: 0,
      },
    ],
  });
export type ChatRequest = z.output<typeof chatRequestSchema>;
