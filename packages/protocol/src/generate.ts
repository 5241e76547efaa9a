/** POST /generate of the speculative-coordinator. */
import { z } from 'zod';
import { boundedInteger, MAX_SPECULATIVE_TOKENS, samplingFields } from './fields.ts';
import { structuredOutputsSchema } from './structured-outputs.ts';

const chatMessageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
});
export type ChatMessage = z.output<typeof chatMessageSchema>;

export const MAX_NEW_TOKENS = 1 << 20;
export const VERIFICATION_RULES = ['rejection', 'greedy'] as const;
export type VerificationRuleName = (typeof VERIFICATION_RULES)[number];

export const generateRequestSchema = z
  .strictObject({
    prompt: z.string().min(1, 'must not be empty').optional().describe('Raw text to continue.'),
    messages: z
      .array(chatMessageSchema)
      .min(1, 'must not be empty')
      .optional()
      .describe("A chat, written out by the model's own template. Exactly one of prompt and messages."),
    max_new_tokens: boundedInteger(1, MAX_NEW_TOKENS, 'tokens').default(50).describe('Longest answer.'),
    draft_k: boundedInteger(0, MAX_SPECULATIVE_TOKENS, 'tokens drafted per round')
      .optional()
      .describe(
        'Tokens drafted per round, at most MAX_DRAFT_TOKENS of the server; DEFAULT_DRAFT_TOKENS (5) when absent. 0 is the target alone.',
      ),
    ...samplingFields,
    seed: boundedInteger(0, Number.MAX_SAFE_INTEGER, 'seed')
      .optional()
      .describe(
        'Equal seeds give equal answers from the same pair, draft_k and min_confidence, as long as the draft has all of the text: one that lost it, or begins in the middle of a long prompt that the target had cached, may lead to another answer of the same distribution. Drawn at random when absent.',
      ),
    stop: z
      .union([z.string(), z.array(z.string())])
      .transform((stop) => (typeof stop === 'string' ? [stop] : stop))
      .refine((stop) => stop.length <= 16 && stop.every((s) => s.length >= 1 && s.length <= 256), {
        error: 'must be at most 16 strings of 1 to 256 characters',
      })
      .default([])
      .describe('The answer ends before the first of these.'),
    ignore_eos: z.boolean().default(false).describe('Go on after an end-of-sequence token (for measurements).'),
    structured_outputs: structuredOutputsSchema
      .optional()
      .describe('What the answer must match: exactly one of json, regex, choice, grammar and json_object.'),
    stream: z.boolean().default(false).describe('Server-sent events instead of one reply.'),
    verification: z
      .enum(VERIFICATION_RULES)
      .default('rejection')
      .describe(
        "How draft tokens are checked: rejection at any temperature (at 0 it is greedy), greedy at temperature 0 only. Every rule gives answers of the target's own distribution.",
      ),
    speculative: z.boolean().default(true).describe('false: the target alone.'),
    min_confidence: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe(
        'The draft stops a proposal after a token that it gives less probability than this. When absent: 0 with a draft_k, DEFAULT_MIN_CONFIDENCE (0) without.',
      ),
    return_token_ids: z.boolean().default(false).describe('Add token ids and where each token came from.'),
  })
  .refine((r) => (r.prompt === undefined) !== (r.messages === undefined), {
    error: 'give exactly one of "prompt" and "messages"',
  })
  .refine((r) => !(r.structured_outputs && r.ignore_eos), {
    error: 'an answer that must match something ends with it: leave ignore_eos out',
    path: ['ignore_eos'],
  })
  .meta({
    oneOf: [{ required: ['prompt'] }, { required: ['messages'] }],
    examples: [{ messages: [{ role: 'user', content: 'Explain why the sky is blue.' }], max_new_tokens: 50 }],
  });
export type GenerateRequest = z.output<typeof generateRequestSchema>;

/** accepted: drafted and kept; forced: the only text that the grammar allows, and kept; recovered: after a refusal; bonus: after a full round; target: no draft was involved. */
export const PROVENANCES = ['accepted', 'forced', 'recovered', 'bonus', 'target'] as const;
export type Provenance = (typeof PROVENANCES)[number];

const finishReasonSchema = z.enum(['stop', 'length']);
export type FinishReason = z.output<typeof finishReasonSchema>;

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

export const generationMetricsSchema = z.object({
  speculative_decoding: z.object({
    num_rounds: z.int().describe('Passes of the target after the prompt.'),
    num_drafts: z.int().describe('Rounds that had at least one draft token.'),
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
    num_degraded_rounds: z.int().describe('Rounds without a draft because the draft-service did not answer.'),
    num_forced_tokens: z.int().describe('Tokens that the grammar left no choice about, and the target checked.'),
    num_accepted_forced_tokens: z.int().describe('Those that were kept.'),
  }),
  time_to_first_token_ms: z.number().nullable(),
  total_ms: z.number(),
  tokens_per_second: z.number().nullable().describe('completion_tokens / total time.'),
  decode_tokens_per_second: z.number().nullable().describe('Tokens after the first / time after the first.'),
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
});
export type GenerateReply = z.output<typeof generateReplySchema>;
