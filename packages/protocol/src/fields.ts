/** Field types that several messages share. Wire names are snake_case. */
import { z } from 'zod';
import { PROTOCOL_VERSION } from './version.ts';

const bounded = (min: number, max: number, what: string) =>
  z
    .number({ error: (issue) => `must be a number from ${min} to ${max} (${what}), got ${show(issue.input)}` })
    .min(min, { error: (issue) => `must be at least ${min} (${what}), got ${show(issue.input)}` })
    .max(max, { error: (issue) => `must be at most ${max} (${what}), got ${show(issue.input)}` });

/** A number within bounds whose error names bound and value. */
export const boundedNumber = bounded;

/** A whole number within bounds whose error names bound and value. */
export const boundedInteger = (min: number, max: number, what: string) =>
  bounded(min, max, what)
    .refine(Number.isInteger, { error: (issue) => `must be a whole number (${what}), got ${show(issue.input)}` })
    .meta({ type: 'integer' });

function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

const MAX_TOP_K = 1_000_000;
const MAX_SUPPRESSED_TOKENS = 1024;
/** The widest proposal that the wire allows; a service's own setting may be lower. */
export const MAX_SPECULATIVE_TOKENS = 32;

/** How logits become a distribution; the same on draft, target and everywhere else. */
export const samplingFields = {
  temperature: boundedNumber(0, 100, '0 is greedy')
    .default(1)
    .describe('Divides the logits. 0 is greedy: always the likeliest token.'),
  top_k: boundedInteger(0, MAX_TOP_K, '0 keeps every token')
    .default(0)
    .describe('How many tokens are kept; 0 keeps all.'),
  top_p: boundedNumber(0, 1, 'probability mass kept')
    .refine((p) => p > 0, { error: 'must be greater than 0 (probability mass kept)' })
    .default(1)
    .describe('Keep the likeliest tokens that together have this probability; more than 0.'),
  min_p: boundedNumber(0, 1, 'relative to the likeliest token')
    .default(0)
    .describe('Keep tokens at least this likely relative to the likeliest.'),
  repetition_penalty: boundedNumber(0, 10, '1 changes nothing')
    .refine((penalty) => penalty > 0, { error: 'must be greater than 0 (1 changes nothing)' })
    .default(1)
    .describe(
      'Divides the positive logit, and multiplies the negative one, of every token that stands in the prompt or the answer already; more than 0.',
    ),
  presence_penalty: boundedNumber(-2, 2, 'per token already in the output')
    .default(0)
    .describe('Taken once from the logit of every token that stands in the answer already.'),
  frequency_penalty: boundedNumber(-2, 2, 'per occurrence in the output')
    .default(0)
    .describe("Taken from a token's logit for every time that it stands in the answer already."),
  logit_bias: z
    .record(z.string().regex(/^\d+$/, 'keys are token ids'), boundedNumber(-100, 100, 'bias'))
    .default({})
    .describe('Token id → added to its logit, -100 to 100.'),
  suppress_tokens: z
    .array(boundedInteger(0, 2 ** 31 - 1, 'token id'))
    .max(MAX_SUPPRESSED_TOKENS, { error: `must be at most ${MAX_SUPPRESSED_TOKENS} token ids` })
    .default([])
    .describe('Token ids that never stand in the answer.'),
};

export const wireSamplingSchema = z.strictObject({
  ...samplingFields,
  /** Position at which the output begins: penalties count tokens from here on. */
  output_start: boundedInteger(0, 2 ** 31 - 1, 'position').default(0),
});
export type WireSampling = z.output<typeof wireSamplingSchema>;

export const sequenceIdSchema = z.string().regex(/^[A-Za-z0-9_.:-]{1,128}$/, 'must be 1 to 128 of A-Z a-z 0-9 _ . : -');

/** What every request about a sequence says of where it stands. */
export const sequenceFields = {
  protocol_version: z.number().default(PROTOCOL_VERSION),
  sequence_id: sequenceIdSchema,
  /** Where `token_ids` start. */
  position: boundedInteger(0, 2 ** 31 - 1, 'tokens before these'),
  /** TokenPrefix.digestAt(position). */
  prefix_digest: z.string().regex(/^[0-9a-f]{16}$/, 'must be 16 hexadecimal digits'),
  /** Cached prefixes are shared only between sequences of the same scope. */
  cache_scope: z.string().max(128).default(''),
};

/** Ids as they come: a section of a frame, or an array of a JSON body. */
export const tokenIdsSchema = z.union(
  [
    z.instanceof(Int32Array),
    z
      .array(
        z
          .int()
          .min(0)
          .max(2 ** 31 - 1),
      )
      .max(1 << 20)
      .transform((ids) => Int32Array.from(ids)),
  ],
  { error: 'must be an array of token ids (whole numbers from 0)' },
);

/** Numbers as they come: a section of a frame, or an array of a JSON body. */
export const float32Schema = z.union(
  [z.instanceof(Float32Array), z.array(z.number()).transform((values) => Float32Array.from(values))],
  { error: 'must be an array of numbers' },
);

/** One bit per token and row, as a section of a frame or an array of a JSON body (32 tokens a word, lowest id first). */
export const tokenMaskSchema = z.union(
  [z.instanceof(Int32Array), z.array(z.int32()).transform((words) => Int32Array.from(words))],
  {
    error: 'must be an array of 32-bit words',
  },
);

/** Rows of half-precision hidden states as they come: a section of a frame, or an array of a JSON body. */
export const hiddenStatesSchema = z.union(
  [z.instanceof(Float16Array), z.array(z.number()).transform((values) => Float16Array.from(values))],
  { error: 'must be an array of numbers' },
);

/** Seed of draws: they depend on it and on the absolute position only. */
export const seedSchema = boundedInteger(0, Number.MAX_SAFE_INTEGER, 'seed');

export interface Timing {
  /** Waiting before the first pass of the model, milliseconds. */
  readonly queue_ms: number;
  /** In the model's passes, milliseconds. */
  readonly model_ms: number;
  /** From the request's arrival in the service to its reply, milliseconds. */
  readonly total_ms: number;
}
