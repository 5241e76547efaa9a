/** POST /v1/propose of the draft-service: continue a sequence by up to K tokens, and say which distributions they came from. */
import { z } from 'zod';
import {
  type DistributionRows,
  distributionSections,
  numDistributionRows,
  readDistributionRows,
} from './distribution-rows.ts';
import { ServiceError } from './errors.ts';
import {
  boundedInteger,
  boundedNumber,
  hiddenStatesSchema,
  MAX_SPECULATIVE_TOKENS,
  seedSchema,
  sequenceFields,
  tokenIdsSchema,
  wireSamplingSchema,
} from './fields.ts';
import type { Frame } from './frame.ts';
import { flattenFrame } from './message.ts';
import { type ReplyHeader, readReplyHeader } from './reply-header.ts';
import { PROTOCOL_VERSION } from './version.ts';

export const proposeRequestSchema = z.strictObject({
  ...sequenceFields,
  token_ids: tokenIdsSchema,
  /** K. 0 only caches `token_ids` (prefill). */
  num_speculative_tokens: boundedInteger(0, MAX_SPECULATIVE_TOKENS, 'tokens to propose').default(5),
  sampling: wireSamplingSchema.prefault({}),
  seed: seedSchema.default(0),
  /**
   * Draw with the noise that the target draws with at the same position (coupled verification). The distributions are
   * left out of the reply then: nobody needs them. Otherwise the draft's noise is its own.
   */
  coupled: z.boolean().default(false),
  /** Added to a position of this text for its noise: where the text begins later than the target's. */
  noise_offset: boundedInteger(0, 2 ** 31 - 1, 'positions').default(0),
  /**
   * Stop after the first token that the draft gives less probability than this. That token is kept: dropping a sampled
   * token would bias the output.
   */
  min_confidence: boundedNumber(0, 1, 'probability').default(0),
  /** The target's hidden states, for a draft that reads them: one row for each token from `hidden_states_from` to the end. */
  hidden_states: hiddenStatesSchema.optional(),
  /**
   * Position of the first row of `hidden_states`; default: `position`. The tokens before it must be in a cache already,
   * computed from true hidden states. Where they are not, the answer is a sequence_mismatch with the length that is, and
   * the sequence holds that much. To ask what a draft has of a text: send all of it, with `hidden_states_from` at its end
   * and nothing to propose.
   */
  hidden_states_from: boundedInteger(0, 2 ** 31 - 1, 'position of the first row of hidden states').optional(),
});
export type ProposeRequest = z.output<typeof proposeRequestSchema>;
export type ProposeRequestInput = Omit<z.input<typeof proposeRequestSchema>, 'token_ids' | 'hidden_states'> & {
  token_ids: Int32Array;
  hidden_states?: Float16Array | undefined;
};

export function proposeRequestFrame({ token_ids, hidden_states, ...header }: ProposeRequestInput): Frame {
  return {
    header: { protocol_version: PROTOCOL_VERSION, ...header },
    sections: { token_ids, ...(hidden_states && { hidden_states }) },
  };
}

export interface ProposeReply extends ReplyHeader {
  readonly draftTokenIds: Int32Array; // [k], k <= K
  /** The distributions that the tokens were drawn from; absent for greedy, where each distribution is one-hot, and for coupled draws. */
  readonly distributions?: DistributionRows; // k distributions
}

export function proposeReplyFrame({ draftTokenIds, distributions, ...header }: ProposeReply): Frame {
  return {
    header,
    sections: { draft_token_ids: draftTokenIds, ...(distributions && distributionSections(distributions)) },
  };
}

/** Errors: malformed_frame, token_out_of_range. */
export function parseProposeReply(bytes: Uint8Array): ProposeReply {
  const message = flattenFrame(bytes);
  const header = readReplyHeader(message);
  const { draft_token_ids: draftTokenIds } = message;
  if (!(draftTokenIds instanceof Int32Array)) {
    throw new ServiceError('malformed_frame', 'malformed frame: "draft_token_ids" (int32) is missing');
  }
  if (draftTokenIds.some((id) => id < 0 || id >= header.vocab_size)) {
    throw new ServiceError('token_out_of_range', 'the draft proposed a token outside its vocabulary');
  }
  if (!('prob_offsets' in message)) return { ...header, draftTokenIds };
  const distributions = readDistributionRows(message, header.vocab_size);
  if (numDistributionRows(distributions) !== draftTokenIds.length) {
    throw new ServiceError('malformed_frame', 'malformed frame: not one distribution for each proposed token');
  }
  return { ...header, draftTokenIds, distributions };
}
