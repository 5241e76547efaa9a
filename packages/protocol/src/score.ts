/** POST /v1/score of the target-service: one pass over the new tokens of a sequence, one row per position. */
import { z } from 'zod';
import { type DistributionRows, distributionSections, readDistributionRows } from './distribution-rows.ts';
import { parseOrThrow } from './errors.ts';
import {
  boundedInteger,
  sequenceFields,
  timingSchema,
  tokenIdsSchema,
  tokenMaskSchema,
  wireSamplingSchema,
} from './fields.ts';
import type { Frame, Section } from './frame.ts';
import { flattenFrame } from './message.ts';
import { PROTOCOL_VERSION } from './version.ts';

const ROW_KINDS = ['argmax', 'probs', 'logits'] as const;

export const scoreRequestSchema = z.strictObject({
  ...sequenceFields,
  /** The model that is to score, as the card names it: a service that serves another one refuses. Absent: any. */
  model_digest: z.string().max(128).optional(),
  token_ids: tokenIdsSchema,
  /** Form of the rows: argmax ids (greedy), distributions after the filters, or raw logits. */
  rows: z.enum(ROW_KINDS).default('argmax'),
  /** Rows are returned for this many of the last `token_ids`; 0 for a prefill whose rows nobody needs. */
  num_rows: boundedInteger(0, 1 << 20, 'rows').optional(),
  sampling: wireSamplingSchema.prefault({}),
  /**
   * Tokens that may stand after each of the first rows: ceil(vocab_size / 32) words a row. Whatever they leave out is
   * masked before temperature and every filter, and before argmax; raw logits stay as they are. Rows beyond are free.
   */
  allowed_tokens: tokenMaskSchema.optional(),
  /** Raw logits beside the rows (for log probabilities). */
  include_logits: z.boolean().default(false),
  /** The target's hidden states of `token_ids` (for a draft that reads them). */
  include_hidden_states: z.boolean().default(false),
  /**
   * First position whose hidden states are wanted, for a draft that holds those before; default: `position`. Hidden
   * states exist only where the model computed, so nothing from here on is taken from a cached prefix.
   */
  hidden_states_from: boundedInteger(0, 2 ** 31 - 1, 'first position whose hidden states are wanted').optional(),
  /**
   * A cached prefix is taken over even where hidden states are wanted. The reply's begin later then: a draft that lost
   * what the target kept begins in the middle of the text.
   */
  prefer_reuse: z.boolean().default(false),
});
export type ScoreRequest = z.output<typeof scoreRequestSchema>;
export type ScoreRequestInput = Omit<z.input<typeof scoreRequestSchema>, 'token_ids' | 'allowed_tokens'> & {
  token_ids: Int32Array;
  allowed_tokens?: Int32Array | undefined;
};

export function scoreRequestFrame({ token_ids, allowed_tokens, ...header }: ScoreRequestInput): Frame {
  return {
    header: { protocol_version: PROTOCOL_VERSION, ...header },
    sections: { token_ids, ...(allowed_tokens && { allowed_tokens }) },
  };
}

const scoreReplyHeader = z.object({
  sequence_id: z.string(),
  /** Tokens in the service's cache now. */
  cached_length: z.int(),
  vocab_size: z.int(),
  /** Tokens of this request that a cached prefix spared the model. */
  num_reused_tokens: z.int().default(0),
  /** Position of the first row of `hiddenStates`, where there are any. */
  hidden_states_from: z.int().optional(),
  timing: timingSchema,
});
export interface ScoreReply extends z.output<typeof scoreReplyHeader> {
  /** Exactly one of these three is present, as `rows` asked. */
  readonly argmaxTokenIds?: Int32Array; // [numRows]
  readonly distributions?: DistributionRows; // numRows distributions
  readonly logits?: Float32Array; // [numRows, vocabSize]
  readonly hiddenStates?: Float16Array; // [end of the text - hidden_states_from, width]
}

export function scoreReplyFrame(reply: ScoreReply): Frame {
  const { argmaxTokenIds, distributions, logits, hiddenStates, ...header } = reply;
  const sections: Record<string, Section> = {};
  if (argmaxTokenIds) sections.argmax_token_ids = argmaxTokenIds;
  if (distributions) Object.assign(sections, distributionSections(distributions));
  if (logits) sections.logits = logits;
  if (hiddenStates) sections.hidden_states = hiddenStates;
  return { header, sections };
}

/** Errors: malformed_frame, invalid_request. */
export function parseScoreReply(bytes: Uint8Array): ScoreReply {
  const message = flattenFrame(bytes);
  const header = parseOrThrow(scoreReplyHeader, message);
  const { argmax_token_ids, logits, hidden_states } = message;
  return {
    ...header,
    ...(argmax_token_ids instanceof Int32Array && { argmaxTokenIds: argmax_token_ids }),
    ...('prob_offsets' in message && {
      distributions: readDistributionRows(message as Record<string, Section>, header.vocab_size),
    }),
    ...(logits instanceof Float32Array && { logits }),
    ...(hidden_states instanceof Float16Array && { hiddenStates: hidden_states }),
  };
}
