/**
 * Fields that chat and text completions share, as OpenAI names and bounds them. `null` is OpenAI's way to say "the
 * default". What is not supported is refused by name, never passed over in silence. What neither OpenAI nor vLLM knows
 * stands under one key, `forerunner`.
 */
import { boundedInteger, boundedNumber, generateRequestSchema, samplingFields } from '@forerunner/protocol';
import { z } from 'zod';
import { onlyDefault, takenFields } from './only-default.ts';
import { vllmFields } from './vllm-fields.ts';

/** Answers to one request, all choices of all prompts together. */
export const MAX_CHOICES = 8;
export const MAX_TOP_LOGPROBS = 20;

const ours = generateRequestSchema.shape;

const forerunnerFieldSchema = z.strictObject({
  draft_k: ours.draft_k,
  speculative: ours.speculative,
  prompt_lookup: ours.prompt_lookup,
  min_confidence: ours.min_confidence,
  verification: ours.verification,
  receipt: ours.receipt,
  return_provenance: z
    .boolean()
    .default(false)
    .describe('Add every token with where it came from: accepted, recovered, bonus or target.'),
});

export const commonFields = {
  model: z
    .string()
    .nullish()
    .describe('As /v1/models names it, aliases included; the model that is served when absent.'),
  n: boundedInteger(1, MAX_CHOICES, 'choices').nullish().describe('Answers to generate. Default 1.'),
  temperature: boundedNumber(0, 2, '0 is greedy').nullish().describe('Default 1.'),
  top_p: boundedNumber(0, 1, 'probability mass kept').nullish().describe('Default 1.'),
  presence_penalty: samplingFields.presence_penalty.nullish().describe(samplingFields.presence_penalty.description!),
  frequency_penalty: samplingFields.frequency_penalty.nullish().describe(samplingFields.frequency_penalty.description!),
  logit_bias: samplingFields.logit_bias.nullish().describe(samplingFields.logit_bias.description!),
  seed: boundedInteger(0, Number.MAX_SAFE_INTEGER, 'seed')
    .nullish()
    .describe('Equal seeds give equal answers from the same target. Drawn at random when absent.'),
  stop: z.union([z.null(), ours.stop]).optional().describe('The answer ends before the first of these.'),
  stream: z.boolean().nullish().describe('Server-sent events instead of one reply.'),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().nullish().describe('A last chunk with usage and metrics.'),
      include_obfuscation: onlyDefault('include_obfuscation', [false]),
    })
    .nullish()
    .describe('Only with stream.'),
  ...vllmFields,
  ...takenFields,
  forerunner: forerunnerFieldSchema.prefault({}).nullish().describe('What this server offers beyond the OpenAI API.'),
};

/** Both kinds of requests read alike for whatever treats them alike. */
export type CommonRequest = { [Field in keyof typeof commonFields]?: z.output<(typeof commonFields)[Field]> };

interface StreamFields {
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: object | null | undefined;
}

export const streamOptionsNeedStream = [
  (body: StreamFields): boolean => !body.stream_options || body.stream === true,
  { error: 'only allowed together with "stream": true', path: ['stream_options'] as PropertyKey[] },
] as const;
