/** Log probabilities as OpenAI writes them: one way for chats, an older one for text completions. */
import type { LogprobToken, Speller } from './dialect.ts';

const spelled = (tokenId: number, logprob: number, speller: Speller) => {
  const { text, bytes } = speller.spellToken(tokenId);
  return { token: text, logprob: finite(logprob), bytes: [...bytes] };
};

/** JSON has no -Infinity; OpenAI writes a very small number instead. */
const finite = (logprob: number): number => Math.max(logprob, -9999);

export function chatLogprobs(tokens: readonly LogprobToken['token'][], speller: Speller) {
  return {
    content: tokens.map(({ tokenId, logprobs }) => ({
      ...spelled(tokenId, logprobs!.logprob, speller),
      top_logprobs: logprobs!.top.map((top) => spelled(top.tokenId, top.logprob, speller)),
    })),
    refusal: null,
  };
}

/** `text_offset` counts characters (UTF-16 units) from the beginning of the text. A prompt's first token has no distribution. */
export function completionLogprobs(placed: readonly LogprobToken[], speller: Speller) {
  const text = (tokenId: number) => speller.spellToken(tokenId).text;
  return {
    tokens: placed.map(({ token }) => text(token.tokenId)),
    token_logprobs: placed.map(({ token }) => token.logprobs && finite(token.logprobs.logprob)),
    top_logprobs: placed.map(
      ({ token }) =>
        token.logprobs && Object.fromEntries(token.logprobs.top.map((top) => [text(top.tokenId), finite(top.logprob)])),
    ),
    text_offset: placed.map(({ start }) => start),
  };
}
