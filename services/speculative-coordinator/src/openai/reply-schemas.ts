/** What the OpenAI routes answer, for the OpenAPI document. */
import { generationMetricsSchema, PROVENANCES, promptTokensDetailsSchema, receiptSchema } from '@forerunner/protocol';
import { z } from 'zod';

const usageSchema = z.object({
  prompt_tokens: z.int(),
  prompt_tokens_details: promptTokensDetailsSchema,
  completion_tokens: z.int().describe('Tokens of the answers. Draft tokens that were refused never count.'),
  total_tokens: z.int(),
  completion_tokens_details: z.object({
    accepted_prediction_tokens: z.int().describe('Tokens of `prediction` that stand in the answer.'),
    rejected_prediction_tokens: z.int().describe('Tokens of `prediction` that the target refused.'),
    reasoning_tokens: z.int(),
    audio_tokens: z.int(),
  }),
});

const forerunnerChoiceSchema = z.object({
  seed: z.int(),
  receipt: receiptSchema.optional(),
  tokens: z.array(z.object({ id: z.int(), text: z.string(), provenance: z.enum(PROVENANCES) })).optional(),
});
const spelledToken = { token: z.string(), logprob: z.number(), bytes: z.array(z.int()) };
const finishReason = z.enum(['stop', 'length']);
const chatFinishReason = z.enum(['stop', 'length', 'tool_calls']);
const head = { id: z.string(), created: z.int(), model: z.string(), system_fingerprint: z.string() };
const totals = { usage: usageSchema, metrics: generationMetricsSchema };

export const chatReplySchema = z.object({
  ...head,
  object: z.literal('chat.completion'),
  choices: z.array(
    z.object({
      index: z.int(),
      message: z.object({
        role: z.literal('assistant'),
        content: z.string().nullable(),
        refusal: z.null(),
        reasoning_content: z.string().optional().describe('What the model thought before it answered (<think>).'),
        tool_calls: z
          .array(
            z.object({
              id: z.string(),
              type: z.literal('function'),
              function: z.object({ name: z.string(), arguments: z.string() }),
            }),
          )
          .optional(),
      }),
      logprobs: z
        .object({
          content: z.array(z.object({ ...spelledToken, top_logprobs: z.array(z.object(spelledToken)) })),
          refusal: z.null(),
        })
        .nullable(),
      finish_reason: chatFinishReason,
      forerunner: forerunnerChoiceSchema,
    }),
  ),
  ...totals,
});

export const completionReplySchema = z.object({
  ...head,
  object: z.literal('text_completion'),
  choices: z.array(
    z.object({
      index: z.int(),
      text: z.string(),
      logprobs: z
        .object({
          tokens: z.array(z.string()),
          token_logprobs: z.array(z.number().nullable()),
          top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
          text_offset: z.array(z.int()),
        })
        .nullable(),
      finish_reason: finishReason,
      forerunner: forerunnerChoiceSchema,
    }),
  ),
  ...totals,
});

export const modelSchema = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
  root: z.string().describe('The model itself, of which `id` may be an alias.'),
});
export const modelListSchema = z.object({ object: z.literal('list'), data: z.array(modelSchema) });
