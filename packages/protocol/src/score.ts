/** POST /v1/score of the target-service: one pass over the new tokens of a sequence, and what is wanted of its last rows. */
import { z } from 'zod';
import {
  type DistributionRows,
  type DistributionSections,
  distributionSections,
  readDistributionRows,
} from './distribution-rows.ts';
import { ServiceError } from './errors.ts';
import {
  boundedInteger,
  float32Schema,
  seedSchema,
  sequenceFields,
  tokenIdsSchema,
  tokenMaskSchema,
  wireSamplingSchema,
} from './fields.ts';
import type { Frame, Section } from './frame.ts';
import { flattenFrame } from './message.ts';
import { optionalNumber, type ReplyHeader, readReplyHeader } from './reply-header.ts';
import { PROTOCOL_VERSION } from './version.ts';

/**
 * - `argmax`: the likeliest token of each row.
 * - `samples`: the target's own token for each row, drawn with `seed` at the row's position (coupled draws), up to the first
 *   that is not the one that was sent for its place: rows behind it stand on another text. The likeliest one at
 *   temperature 0.
 * - `verdict`: how many of the last num_rows - 1 `token_ids`, which are guesses, are kept, and the token after them.
 * - `probs`, `logits`: whole rows, for people, other clients and measurements; no verification rule asks for them.
 */
const ROW_KINDS = ['argmax', 'samples', 'verdict', 'probs', 'logits'] as const;
/** The rules that a verdict can follow. */
export const VERDICT_RULES = ['rejection', 'block'] as const;
export const MAX_TOP_LOGPROBS = 20;

export const scoreRequestSchema = z.strictObject({
  ...sequenceFields,
  /** The model that is to score, as the card names it: a service that serves another one refuses. Absent: any. */
  model_digest: z.string().max(128).optional(),
  token_ids: tokenIdsSchema,
  rows: z.enum(ROW_KINDS).default('argmax'),
  /** Rows are returned for this many of the last `token_ids`; 0 for a prefill whose rows nobody needs. */
  num_rows: boundedInteger(0, 1 << 20, 'rows').optional(),
  sampling: wireSamplingSchema.prefault({}),
  /**
   * Tokens that may stand after each of the first rows: ceil(vocab_size / 32) words a row. The others are masked before
   * bias, penalties, temperature and every filter. Rows beyond are free. `logits` and log probabilities know no masks.
   */
  allowed_tokens: tokenMaskSchema.optional(),
  /** For `samples` and `verdict`. */
  seed: seedSchema.default(0),
  /** For `verdict`. */
  verification: z.enum(VERDICT_RULES).optional(),
  /**
   * For `verdict`: the distributions that the guesses were really drawn from, one for each, as the draft's reply has them
   * (see DistributionRows). Absent: each guess is certain.
   */
  prob_offsets: tokenIdsSchema.optional(),
  prob_token_ids: tokenIdsSchema.optional(),
  probs: float32Schema.optional(),
  /** Log probabilities of the tokens in the reply, and of so many likeliest ones beside each; of the model's own
   * distribution, before masks, temperature, penalties and filters. Absent: none. Not for whole rows. */
  num_top_logprobs: boundedInteger(0, MAX_TOP_LOGPROBS, 'log probabilities').optional(),
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
export type ScoreRequestInput = Omit<
  z.input<typeof scoreRequestSchema>,
  'token_ids' | 'allowed_tokens' | keyof DistributionSections
> & {
  token_ids: Int32Array;
  allowed_tokens?: Int32Array | undefined;
  /** Of the guesses, for a verdict. */
  draftDistributions?: DistributionRows | null;
};

export function scoreRequestFrame({
  token_ids,
  allowed_tokens,
  draftDistributions,
  ...header
}: ScoreRequestInput): Frame {
  return {
    header: { protocol_version: PROTOCOL_VERSION, ...header },
    sections: {
      token_ids,
      ...(allowed_tokens && { allowed_tokens }),
      ...(draftDistributions && distributionSections(draftDistributions)),
    },
  };
}

export interface ScoreReply extends ReplyHeader {
  /** Position of the first row of `hiddenStates`, where there are any. */
  readonly hidden_states_from?: number;
  /** For `verdict`: guesses that are kept, and the token that follows them. */
  readonly num_accepted_tokens?: number;
  readonly next_token_id?: number;
  /** What `rows` asked for: one of these, or the verdict. */
  readonly argmaxTokenIds?: Int32Array; // [numRows]
  readonly sampledTokenIds?: Int32Array; // [<= numRows]
  readonly distributions?: DistributionRows; // numRows distributions
  readonly logits?: Float32Array; // [numRows, vocabSize]
  /** For each token of the reply, of a verdict for the kept guesses and the token after them. */
  readonly logprobs?: LogprobRows;
  readonly hiddenStates?: Float16Array; // [end of the text - hidden_states_from, width]
}

export interface LogprobRows {
  readonly logprobs: Float32Array; // [numTokens]
  /** The likeliest first. */
  readonly topTokenIds: Int32Array; // [numTokens, numTop]
  readonly topLogprobs: Float32Array; // [numTokens, numTop]
}

export function scoreReplyFrame(reply: ScoreReply): Frame {
  const { argmaxTokenIds, sampledTokenIds, distributions, logits, logprobs, hiddenStates, ...header } = reply;
  const sections: Record<string, Section> = {};
  if (argmaxTokenIds) sections.argmax_token_ids = argmaxTokenIds;
  if (sampledTokenIds) sections.sampled_token_ids = sampledTokenIds;
  if (distributions) Object.assign(sections, distributionSections(distributions));
  if (logits) sections.logits = logits;
  if (logprobs) {
    sections.logprobs = logprobs.logprobs;
    sections.top_token_ids = logprobs.topTokenIds;
    sections.top_logprobs = logprobs.topLogprobs;
  }
  if (hiddenStates) sections.hidden_states = hiddenStates;
  return { header, sections };
}

/** Errors: malformed_frame. */
export function parseScoreReply(bytes: Uint8Array): ScoreReply {
  const message = flattenFrame(bytes);
  const header = readReplyHeader(message);
  const hiddenStatesFrom = optionalNumber(message, 'hidden_states_from');
  const numAccepted = optionalNumber(message, 'num_accepted_tokens');
  const nextTokenId = optionalNumber(message, 'next_token_id');
  const { argmax_token_ids, sampled_token_ids, logits, hidden_states } = message;
  return {
    ...header,
    ...(hiddenStatesFrom !== undefined && { hidden_states_from: hiddenStatesFrom }),
    ...(numAccepted !== undefined && { num_accepted_tokens: numAccepted }),
    ...(nextTokenId !== undefined && { next_token_id: nextTokenId }),
    ...(argmax_token_ids instanceof Int32Array && { argmaxTokenIds: argmax_token_ids }),
    ...(sampled_token_ids instanceof Int32Array && { sampledTokenIds: sampled_token_ids }),
    ...('prob_offsets' in message && { distributions: readDistributionRows(message, header.vocab_size) }),
    ...(logits instanceof Float32Array && { logits }),
    ...('logprobs' in message && { logprobs: readLogprobs(message) }),
    ...(hidden_states instanceof Float16Array && { hiddenStates: hidden_states }),
  };
}

function readLogprobs({ logprobs, top_token_ids, top_logprobs }: Record<string, unknown>): LogprobRows {
  const isWhole =
    logprobs instanceof Float32Array &&
    top_token_ids instanceof Int32Array &&
    top_logprobs instanceof Float32Array &&
    top_token_ids.length === top_logprobs.length;
  if (isWhole) return { logprobs, topTokenIds: top_token_ids, topLogprobs: top_logprobs };
  throw new ServiceError('malformed_frame', 'malformed frame: the log probabilities are not whole');
}
