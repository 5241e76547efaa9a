/** POST /generate of the speculative-coordinator: the request, and the words of requests and replies. */
import { z } from 'zod';
import { boundedInteger, MAX_SPECULATIVE_TOKENS, samplingFields } from './fields.ts';
import { structuredOutputsSchema } from './structured-outputs.ts';

const chatMessageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
});
export type ChatMessage = z.output<typeof chatMessageSchema>;

export const MAX_NEW_TOKENS = 1 << 20;
export const VERIFICATION_RULES = ['coupled', 'rejection', 'block', 'greedy'] as const;
export type VerificationRuleName = (typeof VERIFICATION_RULES)[number];
export const DEFAULT_VERIFICATION: VerificationRuleName = 'coupled';

export const generateRequestSchema = z
  .strictObject({
    prompt: z.string().min(1, 'must not be empty').optional().describe('Raw text to continue.'),
    messages: z
      .array(chatMessageSchema)
      .min(1, 'must not be empty')
      .optional()
      .describe("A chat, written out by the model's own template. Exactly one of prompt and messages."),
    parse_special: z
      .boolean()
      .default(false)
      .describe(
        'Names of special tokens in "prompt" become those tokens. Otherwise they are text, as in messages always.',
      ),
    max_new_tokens: boundedInteger(1, MAX_NEW_TOKENS, 'tokens').default(50).describe('Longest answer.'),
    draft_k: z
      .union([boundedInteger(0, MAX_SPECULATIVE_TOKENS, 'tokens drafted per round'), z.literal('auto')], {
        error: `must be "auto" or a whole number from 0 to ${MAX_SPECULATIVE_TOKENS}`,
      })
      .optional()
      .describe(
        'Tokens guessed per round, at most MAX_DRAFT_TOKENS of the server. auto: in each round as many as pay, by measured costs, acceptance and load; none where none does. When absent: auto, or DEFAULT_DRAFT_TOKENS of the draft where the server sets one. 0 is the target alone.',
      ),
    ...samplingFields,
    seed: boundedInteger(0, Number.MAX_SAFE_INTEGER, 'seed')
      .optional()
      .describe(
        'Equal seeds give equal answers from the same target, with any draft or none, whatever fails meanwhile. With verification rejection or block only from the same pair, draft_k, min_confidence and prompt_lookup, as long as the draft has all of the text and draft_k is a number: otherwise to another answer of the same distribution. Drawn at random when absent.',
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
      .default(DEFAULT_VERIFICATION)
      .describe(
        "How draft tokens are checked: coupled, rejection or block at any temperature (at 0 each of them is greedy), greedy at temperature 0 only. Every rule gives answers of the target's own distribution; only with coupled does a seed give the same answer whatever the draft does.",
      ),
    speculative: z.boolean().default(true).describe('false: the target alone.'),
    prompt_lookup: z
      .boolean()
      .optional()
      .describe(
        'Guess what the prompt and the answer so far repeat, before the draft is asked; PROMPT_LOOKUP (true) when absent. Never changes the distribution of the answer.',
      ),
    min_confidence: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe(
        'The draft stops a proposal after a token that it gives less probability than this. When absent: 0 with a number for draft_k, else DEFAULT_MIN_CONFIDENCE or, where the server sets none, as it pays.',
      ),
    return_token_ids: z.boolean().default(false).describe('Add token ids and where each token came from.'),
    receipt: z
      .boolean()
      .default(false)
      .describe(
        "Add a receipt, which `pnpm replay` holds against the target's model. It holds the prompt as token ids.",
      ),
  })
  .refine((r) => (r.prompt === undefined) !== (r.messages === undefined), {
    error: 'give exactly one of "prompt" and "messages"',
  })
  .refine((r) => !r.parse_special || r.messages === undefined, {
    error: 'only allowed together with "prompt": a message never holds special tokens',
    path: ['parse_special'],
  })
  .meta({
    oneOf: [{ required: ['prompt'] }, { required: ['messages'] }],
    examples: [{ messages: [{ role: 'user', content: 'Explain why the sky is blue.' }], max_new_tokens: 50 }],
  });
export type GenerateRequest = z.output<typeof generateRequestSchema>;

/** accepted: drafted and kept; forced: the only text that the grammar allows, and kept; recovered: after a refusal; bonus: after a full round; target: no draft was involved. */
export const PROVENANCES = ['accepted', 'forced', 'recovered', 'bonus', 'target'] as const;
export type Provenance = (typeof PROVENANCES)[number];

/** Who guessed: the draft model, the client's prediction, or the prompt and the answer so far. */
export const DRAFT_SOURCES = ['draft', 'prediction', 'lookup'] as const;
export type DraftSource = (typeof DRAFT_SOURCES)[number];

export const finishReasonSchema = z.enum(['stop', 'length']);
export type FinishReason = z.output<typeof finishReasonSchema>;
