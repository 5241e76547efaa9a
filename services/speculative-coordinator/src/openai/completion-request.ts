/** The body of POST /v1/completions: raw text, or token ids, to continue. */
import { boundedInteger, MAX_NEW_TOKENS } from '@forerunner/protocol';
import { z } from 'zod';
import { commonFields, MAX_CHOICES, MAX_TOP_LOGPROBS, streamOptionsNeedStream } from './fields.ts';
import { onlyDefault } from './only-default.ts';
import { oneStructuredField, structuredFields } from './structured-fields.ts';

const tokenIds = z
  .array(
    z
      .int()
      .min(0)
      .max(2 ** 31 - 1),
  )
  .min(1)
  .max(1 << 20);
const text = z.string().min(1);

export const completionRequestSchema = z
  .strictObject({
    ...commonFields,
    prompt: z
      .union([text, tokenIds, z.array(text).min(1).max(MAX_CHOICES), z.array(tokenIds).min(1).max(MAX_CHOICES)], {
        error: `must be a text or an array of token ids, or at most ${MAX_CHOICES} of either, none empty`,
      })
      .describe('What to continue: text, token ids, or several of either.'),
    parse_special: z
      .boolean()
      .nullish()
      .describe('Names of special tokens in a text become those tokens. Otherwise they are text.'),
    add_special_tokens: z
      .boolean()
      .nullish()
      .describe('false: without the special tokens, such as <s>, that the tokenizer puts around a text.'),
    max_tokens: boundedInteger(0, MAX_NEW_TOKENS, 'tokens')
      .nullish()
      .describe('Longest answer. Default 16. 0 only with echo.'),
    logprobs: boundedInteger(0, MAX_TOP_LOGPROBS, 'alternatives per token')
      .nullish()
      .describe("Log probabilities of the model's own distribution, with this many alternatives per token."),
    ...structuredFields,
    best_of: onlyDefault('best_of', [1]),
    echo: z
      .boolean()
      .nullish()
      .describe('The text begins with the prompt, and logprobs with those of its tokens; the first token has none.'),
    suffix: onlyDefault('suffix', ['']),
  })
  .refine(...streamOptionsNeedStream)
  .refine(...oneStructuredField)
  .refine((body) => body.max_tokens !== 0 || body.echo === true, {
    error: 'must be at least 1, or 0 together with "echo": true, got 0',
    path: ['max_tokens'],
  })
  .meta({ examples: [{ prompt: 'Once upon a time', max_tokens: 40, seed: 7 }] });
export type CompletionRequest = z.output<typeof completionRequestSchema>;

/** The prompts of a request, one after the other. */
export function promptsOf(prompt: CompletionRequest['prompt']): (string | number[])[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as (string | number[])[]);
}
