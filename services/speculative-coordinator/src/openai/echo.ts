/** The prompt as the beginning of a reply: its text, and its tokens with the characters at which they begin. */
import type { TokenLogprobs } from '../generation/logprobs.ts';
import type { TextCodec } from '../pair/text-codec.ts';
import type { LogprobToken } from './dialect.ts';

export interface Echo {
  readonly text: string;
  /** null: no log probabilities were asked for. */
  readonly logprobTokens: readonly LogprobToken[] | null;
}

export function echoOf(
  { promptTokenIds, skipSpecialTokens }: { promptTokenIds: Int32Array; skipSpecialTokens?: boolean | undefined },
  logprobs: readonly (TokenLogprobs | null)[] | null,
  codec: Pick<TextCodec, 'incrementalDecoder'>,
): Echo {
  const decoder = codec.incrementalDecoder({ skipSpecialTokens });
  const starts = Array.from(promptTokenIds, (tokenId) => {
    const start = decoder.text.length;
    decoder.push(tokenId);
    return start;
  });
  decoder.flush();
  return {
    text: decoder.text,
    logprobTokens:
      logprobs &&
      starts.map((start, i) => ({ start, token: { tokenId: promptTokenIds[i]!, logprobs: logprobs[i] ?? null } })),
  };
}
