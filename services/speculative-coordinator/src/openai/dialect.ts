/** What chat and text completions do differently: the names of things, and the shape of a choice. */
import type { FinishReason } from '@forerunner/protocol';
import type { z } from 'zod';
import type { AnswerParams } from '../generation/answer-params.ts';
import type { Output } from '../generation/output.ts';
import type { EmittedToken, RoundRecord } from '../generation/round.ts';
import type { ServedPair } from '../pair/pair.ts';
import type { TextCodec } from '../pair/text-codec.ts';
import type { Echo } from './echo.ts';
import type { CommonRequest } from './fields.ts';
import type { TokenTail } from './token-tail.ts';
import type { AnswerReader, MessageDelta, ReadMessage } from './tools/answer-reader.ts';

/** A token of an answer and the character at which it begins. */
export interface PlacedToken {
  readonly start: number;
  readonly token: EmittedToken;
}

/** As much of it as log probabilities are about. */
export interface LogprobToken {
  readonly start: number;
  readonly token: Pick<EmittedToken, 'tokenId' | 'logprobs'>;
}

/** A whole choice, or the part of one that a chunk of a stream carries. */
export interface ChoicePart {
  readonly index: number;
  readonly text: string;
  /** null: no log probabilities were asked for. */
  readonly logprobTokens: readonly LogprobToken[] | null;
  /** null while the choice goes on. */
  readonly finishReason: FinishReason | 'tool_calls' | null;
  /** What a reader made of the text; absent where there is none. */
  readonly message?: MessageDelta | ReadMessage | null | undefined;
}

/** What a request needs of its pair to become the parameters of answers. */
export type AnsweringPair = Pick<ServedPair, 'codec' | 'draftingDefaults' | 'card'>;

export type Speller = Pick<TextCodec, 'spellToken'>;

export interface Dialect<Body extends CommonRequest> {
  readonly path: string;
  readonly idPrefix: string;
  readonly object: string;
  readonly chunkObject: string;
  readonly summary: string;
  readonly schema: z.ZodType<Body>;
  readonly replySchema: z.ZodType;
  /** What each choice asks for. */
  answers(body: Body, pair: AnsweringPair): AnswerParams[];
  wantsLogprobs(body: Body): boolean;
  /** Log probabilities count every token of the answer, also one without text that ended it. */
  readonly hasLogprobsOfEnd: boolean;
  /** Takes the text of a choice apart as it comes; absent: it is text. */
  openReader?(body: Body, params: AnswerParams, codec: Speller): AnswerReader;
  choice(part: ChoicePart, codec: Speller): object;
  /** What opens a choice of a stream, with the prompt where it is echoed; null when nothing does. */
  opening(index: number, echo: Echo | null, codec: Speller): object | null;
  chunk(part: ChoicePart, codec: Speller): object;
}

/** Tokens at the end that have no text, where log probabilities are told of them. */
export function endTokens({ hasLogprobsOfEnd }: { hasLogprobsOfEnd: boolean }, tail: TokenTail, output: Output) {
  const isWhole = output.endsWithStopToken || output.finishReason === 'length';
  return hasLogprobsOfEnd && isWhole ? tail.rest() : [];
}

/** Where the tokens came from, for `return_provenance`. */
export function provenanceOf(tokens: readonly PlacedToken[]) {
  return tokens.map(({ token }) => ({ id: token.tokenId, text: token.text, provenance: token.provenance }));
}

export function roundOf({ numDraftTokens, numAcceptedTokens, origin }: RoundRecord) {
  return { num_draft_tokens: numDraftTokens, num_accepted_tokens: numAcceptedTokens, origin };
}
