/** What POST /generate answers: the reply, its counts and times. */
import { z } from 'zod';
import { finishReasonSchema, PROVENANCES } from './generate.ts';
import { receiptSchema } from './receipt.ts';

/** As OpenAI names it; the rest of OpenAI's details are of other kinds of input. */
export const promptTokensDetailsSchema = z.object({
  cached_tokens: z
    .int()
    .describe('Tokens of the prompt that the target had in a cached prefix, and so did not compute again.'),
});

export const usageSchema = z.object({
  prompt_tokens: z.int(),
  prompt_tokens_details: promptTokensDetailsSchema,
  completion_tokens: z.int(),
  total_tokens: z.int(),
});

const countsBySourceSchema = z.object({
  num_drafts: z.int(),
  num_draft_tokens: z.int(),
  num_accepted_tokens: z.int(),
});
export type CountsBySource = z.output<typeof countsBySourceSchema>;

export const generationMetricsSchema = z.object({
  speculative_decoding: z.object({
    num_rounds: z.int().describe('Passes of the target after the prompt.'),
    num_drafts: z.int().describe('Rounds that had at least one draft token, whoever guessed it.'),
    num_draft_tokens: z.int().describe('Draft tokens that the target checked.'),
    num_accepted_tokens: z.int().describe('Draft tokens that the verification rule kept.'),
    num_emitted_draft_tokens: z.int().describe('Accepted tokens that stand in the answer (none past its end).'),
    draft_acceptance_rate: z.number().nullable().describe('num_accepted_tokens / num_draft_tokens.'),
    mean_acceptance_length: z.number().nullable().describe('1 + num_accepted_tokens / num_drafts.'),
    num_draft_tokens_per_pos: z
      .array(z.int())
      .describe('Draft tokens that the target checked, by position in the proposal; shorter proposals add nothing.'),
    num_accepted_tokens_per_pos: z
      .array(z.int())
      .describe('Those that were kept; divided by num_draft_tokens_per_pos the acceptance rate by position.'),
    num_degraded_rounds: z.int().describe('Rounds without guesses because the draft-service did not answer.'),
    num_forced_tokens: z
      .int()
      .describe('Tokens that the grammar left no choice about, and the target checked; no draft tokens.'),
    num_accepted_forced_tokens: z.int().describe('Those that were kept.'),
    by_source: z
      .object({ draft: countsBySourceSchema, prediction: countsBySourceSchema, lookup: countsBySourceSchema })
      .describe(
        "Whose guesses they were: the draft's, the client's `prediction`, or the prompt and the answer so far. They add up to the counts of draft tokens above.",
      ),
  }),
  time_to_first_token_ms: z.number().nullable(),
  total_ms: z.number(),
  tokens_per_second: z.number().nullable().describe('completion_tokens / total time.'),
  decode_tokens_per_second: z.number().nullable().describe('Tokens after the first / time after the first.'),
  predicted_speedup: z
    .number()
    .nullable()
    .describe(
      'Tokens per second that the planned rounds promised, over those of the target alone by its measured costs.',
    ),
  achieved_speedup: z
    .number()
    .nullable()
    .describe('Tokens per second after the first token, over those of the target alone by its measured costs.'),
});
export type GenerationMetrics = z.output<typeof generationMetricsSchema>;

export const generateReplySchema = z.object({
  id: z.string(),
  model: z.string(),
  text: z.string(),
  finish_reason: finishReasonSchema,
  seed: z.int(),
  usage: usageSchema,
  metrics: generationMetricsSchema,
  token_ids: z.array(z.int()).optional(),
  provenance: z.array(z.enum(PROVENANCES)).optional(),
  receipt: receiptSchema.optional(),
});
export type GenerateReply = z.output<typeof generateReplySchema>;
