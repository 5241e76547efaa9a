/** The body of POST /v1/chat/completions. */
import { boundedInteger, MAX_NEW_TOKENS } from '@forerunner/protocol';
import { z } from 'zod';
import { commonFields, MAX_TOP_LOGPROBS, onlyDefault, streamOptionsNeedStream } from './fields.ts';
import { oneStructuredField, structuredAnswersEnd, structuredFields } from './structured-fields.ts';

const textSchema = z
  .union([z.string(), z.array(z.strictObject({ type: z.literal('text'), text: z.string() })).min(1)], {
    error: 'must be a string, or an array of {"type": "text", "text": "..."}; other content is not supported',
  })
  .transform((content) => (typeof content === 'string' ? content : content.map((part) => part.text).join('')));

const messageSchema = z
  .strictObject({
    role: z.enum(['system', 'developer', 'user', 'assistant'], {
      error: 'must be system, developer, user or assistant; tools are not supported',
    }),
    content: textSchema,
    // What a reply's own message carries, so that it can be sent back as it came.
    refusal: onlyDefault('refusal', []),
    annotations: onlyDefault('annotations', [[]]),
    audio: onlyDefault('audio', []),
    tool_calls: onlyDefault('tool_calls', [[]]),
    function_call: onlyDefault('function_call', []),
    name: onlyDefault('name', []),
  })
  .transform(({ role, content }) => ({ role: role === 'developer' ? ('system' as const) : role, content }));

const tokenLimit = boundedInteger(1, MAX_NEW_TOKENS, 'tokens').nullish();

export const chatRequestSchema = z
  .strictObject({
    ...commonFields,
    messages: z
      .array(messageSchema)
      .min(1, 'must not be empty')
      .describe("The chat so far, written out by the model's own template."),
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
        'Text that the answer will largely repeat: proposed before the draft is asked. Never changes the answer.',
      ),
    ...structuredFields,
    tools: onlyDefault('tools', [[]]),
    tool_choice: onlyDefault('tool_choice', ['none', 'auto']),
    parallel_tool_calls: onlyDefault('parallel_tool_calls', [true, false]),
    functions: onlyDefault('functions', [[]]),
    function_call: onlyDefault('function_call', ['none', 'auto']),
    modalities: onlyDefault('modalities', [['text']]),
    audio: onlyDefault('audio', []),
    store: onlyDefault('store', [false]),
    metadata: onlyDefault('metadata', [{}]),
    service_tier: onlyDefault('service_tier', ['auto', 'default']),
    reasoning_effort: onlyDefault('reasoning_effort', ['none']),
    verbosity: onlyDefault('verbosity', ['medium']),
    web_search_options: onlyDefault('web_search_options', []),
  })
  .refine(...streamOptionsNeedStream)
  .refine(...oneStructuredField)
  .refine(...structuredAnswersEnd)
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
