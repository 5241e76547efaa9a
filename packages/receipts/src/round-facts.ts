/** What the check of a round is told. */
import type { ReceiptRound, VerificationRuleName } from '@forerunner/protocol';
import type { Sampler, SamplingParams, TextSoFar } from '@forerunner/sampling';

export interface RoundFacts {
  readonly rule: VerificationRuleName;
  readonly seed: number;
  readonly round: ReceiptRound;
  /** Place of the round's first token in the whole text. */
  readonly position: number;
  /** Prompt and answer up to the end of this round. */
  readonly tokenIds: Int32Array;
  readonly outputStart: number;
  readonly params: SamplingParams;
  /** A grammar allowed only some tokens. */
  readonly structured: boolean;
  readonly sampler: Sampler;
  /** The target's logits for the token `place` of the round, 0 <= place <= num_accepted_tokens. */
  readonly logits: (place: number) => Float32Array;
}

export const textBefore = ({ tokenIds, position, outputStart }: RoundFacts, place: number): TextSoFar => ({
  tokenIds: tokenIds.subarray(0, position + place),
  outputStart,
});
