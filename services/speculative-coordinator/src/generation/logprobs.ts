/** Log probabilities of the model's own distribution at a position: before temperature, penalties and filters. */
import type { ScoreReply } from '@forerunner/protocol';
import { logSumExp, topLogprobs } from '@forerunner/sampling';

export interface TokenLogprobs {
  readonly logprob: number;
  readonly top: readonly { readonly tokenId: number; readonly logprob: number }[];
}

/** null when none were asked for. */
export function logprobsOfRow(
  reply: ScoreReply,
  row: number,
  tokenId: number,
  numTop: number | null,
): TokenLogprobs | null {
  if (numTop === null || !reply.logits) return null;
  const logits = reply.logits.subarray(row * reply.vocab_size, (row + 1) * reply.vocab_size);
  return { logprob: logits[tokenId]! - logSumExp(logits), top: numTop > 0 ? topLogprobs(logits, numTop) : [] };
}
