/**
 * A receipt: what it takes to score an answer again on the target's model, round by round (docs/receipts.md). Tokens only,
 * no text but the stop strings of the request. A client may take `prompt.token_ids` out; the digest stays.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { boundedInteger, samplingFields, seedSchema } from './fields.ts';
import { DRAFT_SOURCES, finishReasonSchema, MAX_NEW_TOKENS, VERIFICATION_RULES } from './generate.ts';

export const RECEIPT_FORMAT = 'forerunner-receipt/1';

/** The longest proposal and what a grammar may force behind it are well below this. */
const MAX_GUESSES = 1024;
const tokenIdSchema = boundedInteger(0, 2 ** 31 - 1, 'token id');
const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits');
const digestSchema = z.string().min(1).max(128);
const nameSchema = z.string().max(256);

const receiptRoundSchema = z.strictObject({
  source: z
    .enum([...DRAFT_SOURCES, 'grammar'])
    .optional()
    .describe('Who guessed; absent: nobody.'),
  draft_token_ids: z.array(tokenIdSchema).max(MAX_GUESSES).default([]).describe('The guesses that the target checked.'),
  draft_probs: z
    .array(z.number().gt(0).max(1))
    .max(MAX_GUESSES)
    .optional()
    .describe('Probability of each guess where it was drawn from, for rejection and block; absent: each was certain.'),
  num_accepted_tokens: boundedInteger(0, MAX_GUESSES, 'kept guesses').default(0),
  next_token_id: tokenIdSchema.describe('The token after the kept guesses.'),
});
export type ReceiptRound = z.output<typeof receiptRoundSchema>;

export const receiptSchema = z.strictObject({
  format: z.literal(RECEIPT_FORMAT, { error: `must be "${RECEIPT_FORMAT}"` }),
  target: z
    .strictObject({
      model_id: nameSchema,
      model_digest: digestSchema,
      tokenizer_fingerprint: digestSchema,
      numeric_regime: z.enum(['bit-exact', 'tolerance']),
      runtime: nameSchema,
      runtime_version: nameSchema,
      execution_provider: nameSchema,
    })
    .describe('From the model card of the target that the answer is bound to.'),
  draft: z
    .strictObject({ model_id: nameSchema, model_digest: digestSchema })
    .nullable()
    .describe('The draft-service when the answer ended; null: none answered.'),
  prompt: z.strictObject({
    num_tokens: boundedInteger(1, MAX_NEW_TOKENS, 'tokens'),
    sha256: sha256Schema.describe('Over the token ids, each as 4 bytes, least first.'),
    token_ids: z.array(tokenIdSchema).max(MAX_NEW_TOKENS).optional(),
  }),
  sampling: z.strictObject(samplingFields),
  seed: seedSchema,
  verification: z
    .enum(VERIFICATION_RULES)
    .describe('The rule that decided: greedy at temperature 0, whatever was asked for.'),
  max_new_tokens: boundedInteger(0, MAX_NEW_TOKENS, 'tokens'),
  min_tokens: boundedInteger(0, MAX_NEW_TOKENS, 'tokens'),
  stop: z.array(z.string().max(256)).max(16),
  stop_token_ids: z.array(tokenIdSchema).max(2048).describe('Tokens that end the answer, end-of-sequence among them.'),
  structured: z
    .boolean()
    .describe('A grammar allowed only some tokens at each position. It is no part of the receipt.'),
  rounds: z.array(receiptRoundSchema).max(MAX_NEW_TOKENS).describe('The first is the pass over the prompt.'),
  num_output_tokens: boundedInteger(0, MAX_NEW_TOKENS, 'tokens').describe(
    'Tokens of the answer: those of the rounds, without what the last one gave past the end.',
  ),
  finish_reason: finishReasonSchema,
});
export type Receipt = z.output<typeof receiptSchema>;

/** `prompt.sha256` of a receipt. */
export function tokenIdsSha256(tokenIds: ArrayLike<number>): string {
  const bytes = Buffer.alloc(4 * tokenIds.length);
  for (let i = 0; i < tokenIds.length; i++) bytes.writeInt32LE(tokenIds[i]!, 4 * i);
  return createHash('sha256').update(bytes).digest('hex');
}

/** The tokens that a round gave: the kept guesses, and the one after them. */
export function tokensOfRound({ draft_token_ids, num_accepted_tokens, next_token_id }: ReceiptRound): number[] {
  return [...draft_token_ids.slice(0, num_accepted_tokens), next_token_id];
}
