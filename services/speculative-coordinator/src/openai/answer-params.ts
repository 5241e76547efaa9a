/** From a parsed OpenAI request to what the answer runner understands: the parameters of each choice. */
import { ServiceError } from '@forerunner/protocol';
import { deriveSeed } from '@forerunner/sampling';
import type { AnswerParams } from '../generation/answer-params.ts';
import type { ChatRequest } from './chat-request.ts';
import { type CompletionRequest, promptsOf } from './completion-request.ts';
import type { AnsweringPair } from './dialect.ts';
import { type CommonRequest, MAX_CHOICES } from './fields.ts';
import { type StructuredFields, structuredGrammar } from './structured-fields.ts';
import { allowsSeveralCalls, offeredTools, requiredTools } from './tools/tool-fields.ts';
import { callsGrammar, toolFormatOf } from './tools/tool-format.ts';
import { toolChat } from './tools/tool-prompt.ts';

/** OpenAI allows 0: the smallest set whose mass reaches it, which is the likeliest token alone. */
const SMALLEST_TOP_P = 1e-9;
const DEFAULT_COMPLETION_TOKENS = 16;

export function chatAnswers(body: ChatRequest, pair: AnsweringPair): AnswerParams[] {
  const format = toolFormatOf(pair.codec.chatTemplateSource);
  const promptTokenIds = pair.codec.encodeChat(toolChat(body.messages, offeredTools(body), format));
  const required = requiredTools(body);
  const limit = body.max_completion_tokens ?? body.max_tokens;
  const { prediction } = body;
  const params = {
    ...commonParams(body, promptTokenIds, pair, { predicted: !!prediction }),
    maxNewTokens: limit ?? remainingTokens(promptTokenIds.length, pair.card),
    numTopLogprobs: body.logprobs ? (body.top_logprobs ?? 0) : null,
    ...(required && { grammar: callsGrammar(required, format, allowsSeveralCalls(body)) }),
    predictionTokenIds: prediction ? pair.codec.encodeFragment(prediction.content) : undefined,
  };
  return withSeeds(Array(body.n ?? 1).fill(params), body.seed);
}

export function completionAnswers(body: CompletionRequest, pair: AnsweringPair): AnswerParams[] {
  const prompts = promptsOf(body.prompt);
  const n = body.n ?? 1;
  if (n * prompts.length > MAX_CHOICES) {
    throw new ServiceError(
      'invalid_request',
      `"n": ${n} choices for each of ${prompts.length} prompts exceed ${MAX_CHOICES} in all`,
      { field: 'n' },
    );
  }
  const answers = prompts.flatMap((prompt) => {
    const promptTokenIds = typeof prompt === 'string' ? pair.codec.encodePrompt(prompt) : checkedIds(prompt, pair.card);
    const params = {
      ...commonParams(body, promptTokenIds, pair),
      maxNewTokens: body.max_tokens ?? DEFAULT_COMPLETION_TOKENS,
      numTopLogprobs: body.logprobs ?? null,
    };
    return Array<AnswerParams>(n).fill(params);
  });
  return withSeeds(answers, body.seed);
}

function commonParams(
  body: CommonRequest & StructuredFields,
  promptTokenIds: Int32Array,
  { draftingDefaults }: AnsweringPair,
  { predicted = false } = {},
) {
  const extra = body.forerunner;
  return {
    promptTokenIds,
    ...draftingDefaults.resolve(extra ?? {}, { predicted }),
    sampling: {
      temperature: body.temperature ?? 1,
      top_p: Math.max(body.top_p ?? 1, SMALLEST_TOP_P),
      top_k: extra?.top_k ?? 0,
      min_p: extra?.min_p ?? 0,
      presence_penalty: body.presence_penalty ?? 0,
      frequency_penalty: body.frequency_penalty ?? 0,
      logit_bias: body.logit_bias ?? {},
    },
    stop: body.stop ?? [],
    ignoreEos: extra?.ignore_eos ?? false,
    grammar: structuredGrammar(body),
  };
}

/** The first choice has the request's own seed, so that a request for more choices begins with the same answer. */
function withSeeds(answers: readonly AnswerParams[], seed: number | null | undefined): AnswerParams[] {
  if (seed == null) return [...answers];
  return answers.map((params, i) => ({ ...params, seed: i === 0 ? seed : deriveSeed(seed, `choice/${i}`) }));
}

function remainingTokens(numPromptTokens: number, card: { context_length: number }): number {
  // A prompt that leaves no room is refused by the answer runner.
  return Math.max(1, card.context_length - numPromptTokens);
}

function checkedIds(tokenIds: readonly number[], { vocab_size }: { vocab_size: number }): Int32Array {
  const bad = tokenIds.find((id) => id >= vocab_size);
  if (bad !== undefined) {
    const message = `"prompt": there is no token ${bad}; the vocabulary has ${vocab_size}`;
    throw new ServiceError('token_out_of_range', message, { field: 'prompt' });
  }
  return Int32Array.from(tokenIds);
}
