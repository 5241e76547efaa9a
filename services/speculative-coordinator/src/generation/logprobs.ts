/** Log probabilities of the model's own distribution at a position: before temperature, penalties and filters. */
import type { ScoreReply } from '@forerunner/protocol';

export interface TokenLogprobs {
  readonly logprob: number;
  readonly top: readonly { readonly tokenId: number; readonly logprob: number }[];
}

/** Of the reply's token `index`; null when none were asked for. */
export function logprobsOfToken({ logprobs: rows }: ScoreReply, index: number): TokenLogprobs | null {
  if (!rows) return null;
  const numTop = rows.topTokenIds.length / rows.logprobs.length;
  const top = Array.from({ length: numTop }, (_, i) => ({
    tokenId: rows.topTokenIds[index * numTop + i]!,
    logprob: rows.topLogprobs[index * numTop + i]!,
  }));
  return { logprob: rows.logprobs[index]!, top };
}
