/**
 * Log probabilities of a prompt's own tokens, from passes of the target over all of it: nothing comes from a cached
 * prefix, whose rows nobody kept. In chunks, so that rows take the same memory however long the prompt is. The passes leave
 * the prompt cached for the answer that follows.
 */
import { ServiceError, TokenPrefix } from '@forerunner/protocol';
import { logprobOf, topLogprobs } from '@forerunner/sampling';
import type { TargetSequence } from '../pair/target-sequence.ts';
import type { TokenLogprobs } from './logprobs.ts';

/** Most bytes of rows in one reply. */
const MAX_ROW_BYTES = 1 << 24;

interface PromptToScore {
  readonly tokenIds: Int32Array;
  /** Alternatives per token. */
  readonly numTop: number;
  readonly vocabSize: number;
  readonly maxRowBytes?: number;
}

/** One entry per token; the first has no text before it, and null. Errors: those of TargetSequence.score. */
export async function promptLogprobs(
  target: TargetSequence,
  { tokenIds, numTop, vocabSize, maxRowBytes = MAX_ROW_BYTES }: PromptToScore,
): Promise<(TokenLogprobs | null)[]> {
  const logprobs: (TokenLogprobs | null)[] = [null];
  const committed = new TokenPrefix(tokenIds.length);
  const maxRows = Math.max(1, Math.floor(maxRowBytes / (4 * vocabSize)));
  // The last token's row is of what follows the prompt.
  for (let start = 0; start < tokenIds.length - 1; start += maxRows) {
    const chunk = tokenIds.subarray(start, Math.min(start + maxRows, tokenIds.length - 1));
    committed.append(chunk);
    const reply = await target.score({
      committed,
      draftTokenIds: new Int32Array(0),
      numRows: chunk.length,
      sampling: {},
      wanted: { rows: 'logits' },
    });
    if (!reply.logits) throw new ServiceError('internal_error', 'the target answered without logits');
    for (let i = 0; i < chunk.length; i++) {
      const row = reply.logits.subarray(i * vocabSize, (i + 1) * vocabSize);
      const tokenId = tokenIds[start + i + 1]!;
      const top = topLogprobs(row, numTop).map((one) => ({ ...one, logprob: Math.fround(one.logprob) }));
      logprobs.push({ logprob: Math.fround(logprobOf(row, tokenId)), top }); // float32, as those of answers come
    }
  }
  return logprobs;
}
