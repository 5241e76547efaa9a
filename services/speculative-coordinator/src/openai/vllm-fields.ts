/**
 * Fields that OpenAI does not have and clients send at top level nevertheless, as vLLM names, bounds and means them.
 * `null` is the default, as in OpenAI's own.
 */
import { boundedInteger, MAX_NEW_TOKENS, samplingFields } from '@forerunner/protocol';
import { z } from 'zod';
import { onlyDefault } from './only-default.ts';

const MAX_TOKEN_ID = 2 ** 31 - 1;
const MAX_STOP_TOKENS = 128;
/** Deepest value that a template gets. */
const MAX_DEPTH = 16;

export const vllmFields = {
  top_k: z
    .union([z.literal(-1).transform(() => 0), samplingFields.top_k])
    .nullish()
    .describe('How many tokens are kept; 0 or -1 keeps all.'),
  min_p: samplingFields.min_p.nullish().describe(samplingFields.min_p.description!),
  repetition_penalty: samplingFields.repetition_penalty
    .nullish()
    .describe(samplingFields.repetition_penalty.description!),
  min_tokens: boundedInteger(0, MAX_NEW_TOKENS, 'tokens')
    .nullish()
    .describe('The answer does not end by itself before it has this many tokens.'),
  stop_token_ids: z
    .array(boundedInteger(0, MAX_TOKEN_ID, 'token id'))
    .max(MAX_STOP_TOKENS, `must be at most ${MAX_STOP_TOKENS} token ids`)
    .nullish()
    .describe('The answer ends at each of these tokens, whose text is no part of it.'),
  ignore_eos: z
    .boolean()
    .nullish()
    .describe('Go on after an end-of-sequence token (for measurements). stop_token_ids still end the answer.'),
  include_stop_str_in_output: z
    .boolean()
    .nullish()
    .describe('What ended the answer, a stop string or token, stays at the end of its text.'),
  skip_special_tokens: z
    .boolean()
    .nullish()
    .describe('false: special tokens stand in the text by name. Default true: they have no text.'),
  spaces_between_special_tokens: onlyDefault('spaces_between_special_tokens', [true]),
  truncate_prompt_tokens: boundedInteger(1, MAX_NEW_TOKENS, 'tokens')
    .nullish()
    .describe('Only so many of the last tokens of the prompt are read.'),
  cache_salt: z
    .string()
    .min(1)
    .max(512)
    .nullish()
    .describe('Cached prefixes are shared only with requests of the same key that give the same salt.'),
};

/** What the server gives a template itself. */
const RESERVED = [
  'messages',
  'tools',
  'add_generation_prompt',
  'continue_final_message',
  'chat_template',
  'tokenize',
  'bos_token',
  'eos_token',
  'pad_token',
  'unk_token',
];

export const templateFields = {
  add_generation_prompt: z
    .boolean()
    .nullish()
    .describe("false: the prompt ends with the last message, without the opening of the assistant's turn."),
  continue_final_message: z
    .boolean()
    .nullish()
    .describe('The answer goes on with the last message, which is left open. The reply has only what is new.'),
  chat_template_kwargs: z
    .record(z.string().min(1).max(64), z.unknown())
    .refine((variables) => depthOf(variables) <= MAX_DEPTH, { error: `must be nested at most ${MAX_DEPTH} deep` })
    .superRefine((variables, context) => {
      for (const name of RESERVED.filter((one) => Object.hasOwn(variables, one))) {
        context.addIssue({ code: 'custom', message: 'is given to the template by the server', path: [name] });
      }
    })
    .nullish()
    .describe(
      "Variables for the model's chat template, such as enable_thinking. One that it does not know has no effect.",
    ),
  reasoning_effort: z
    .enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh'])
    .nullish()
    .describe('Given to the chat template as its variable reasoning_effort. No effect where it has none.'),
};

export interface TemplateRequest {
  readonly add_generation_prompt?: boolean | null | undefined;
  readonly continue_final_message?: boolean | null | undefined;
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | null | undefined;
  readonly reasoning_effort?: string | null | undefined;
}

export const oneEndOfPrompt = [
  (body: TemplateRequest): boolean => !(body.continue_final_message && body.add_generation_prompt),
  { error: 'cannot go together with "add_generation_prompt": true', path: ['continue_final_message'] as PropertyKey[] },
] as const;

/** How a chat is written out, as the request says. */
export function templateOptions(body: TemplateRequest) {
  const { reasoning_effort: effort, chat_template_kwargs: variables } = body;
  return {
    variables: { ...(effort != null && { reasoning_effort: effort }), ...variables },
    addGenerationPrompt: body.add_generation_prompt ?? true,
    continueFinalMessage: body.continue_final_message ?? false,
  };
}

/** Level by level, so that no nesting is too deep to measure. */
function depthOf(value: unknown): number {
  let level: unknown[] = [value];
  let depth = 0;
  while (level.length > 0 && depth <= MAX_DEPTH) {
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []));
    depth++;
  }
  return depth;
}
