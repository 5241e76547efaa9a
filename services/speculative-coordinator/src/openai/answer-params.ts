/** From a parsed OpenAI request to what the answer runner understands: the parameters of each choice. */
import { ServiceError } from '@forerunner/protocol';
import { deriveSeed } from '@forerunner/sampling';
import type { AnswerParams } from '../generation/answer-params.ts';
import type { GrammarSource } from '../generation/grammar/grammar-engine.ts';
import { chatPrompt } from './chat-prompt.ts';
import type { ChatRequest } from './chat-request.ts';
import { type CompletionRequest, promptsOf } from './completion-request.ts';
import type { AnsweringPair } from './dialect.ts';
import { type CommonRequest, MAX_CHOICES } from './fields.ts';
import { chatOf, grammarOf, numTopLogprobsOf, type ResponseRequest } from './responses/request.ts';
import { structuredGrammar } from './structured-fields.ts';
import { allowsSeveralCalls, requiredTools, type ToolRequest } from './tools/tool-fields.ts';
import { callsGrammar, toolFormatOf } from './tools/tool-format.ts';

/** OpenAI allows 0: the smallest set whose mass reaches it, which is the likeliest token alone. */
const SMALLEST_TOP_P = 1e-9;
const DEFAULT_COMPLETION_TOKENS = 16;

export function chatAnswers(body: ChatRequest, pair: AnsweringPair): AnswerParams[] {
  const promptTokenIds = lastTokens(chatPrompt(body, pair.codec), body);
  const limit = body.max_completion_tokens ?? body.max_tokens;
  const { prediction } = body;
  const params = {
    ...commonParams(body, promptTokenIds, pair),
    maxNewTokens: limit ?? remainingTokens(promptTokenIds.length, pair.card),
    numTopLogprobs: body.logprobs ? (body.top_logprobs ?? 0) : null,
    grammar: requiredCalls(body, pair) ?? structuredGrammar(body),
    predictionTokenIds: prediction ? pair.codec.encodeFragment(prediction.content, 'prediction') : undefined,
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
    const promptTokenIds = lastTokens(completionPrompt(prompt, body, pair), body);
    const params = {
      ...commonParams(body, promptTokenIds, pair),
      maxNewTokens: body.max_tokens ?? DEFAULT_COMPLETION_TOKENS,
      numTopLogprobs: body.logprobs ?? null,
      echo: body.echo ?? false,
      grammar: structuredGrammar(body),
    };
    return Array<AnswerParams>(n).fill(params);
  });
  return withSeeds(answers, body.seed);
}

export function responseAnswer(body: ResponseRequest, pair: AnsweringPair): AnswerParams {
  const promptTokenIds = lastTokens(chatPrompt(chatOf(body), pair.codec), body);
  return {
    ...commonParams(body, promptTokenIds, pair),
    maxNewTokens: body.max_output_tokens ?? remainingTokens(promptTokenIds.length, pair.card),
    numTopLogprobs: numTopLogprobsOf(body),
    grammar: requiredCalls(body, pair) ?? grammarOf(body),
    ...(body.seed != null && { seed: body.seed }),
  };
}

/** The grammar of calls where they are required. */
function requiredCalls(body: ToolRequest, { codec }: AnsweringPair): GrammarSource | undefined {
  const required = requiredTools(body);
  return required
    ? callsGrammar(required, toolFormatOf(codec.chatTemplateSource), allowsSeveralCalls(body))
    : undefined;
}

function commonParams(body: CommonRequest, promptTokenIds: Int32Array, { draftingDefaults }: AnsweringPair) {
  const extra = body.forerunner;
  return {
    promptTokenIds,
    ...draftingDefaults.resolve(extra ?? {}),
    sampling: {
      temperature: body.temperature ?? 1,
      top_p: Math.max(body.top_p ?? 1, SMALLEST_TOP_P),
      top_k: body.top_k ?? 0,
      min_p: body.min_p ?? 0,
      repetition_penalty: body.repetition_penalty ?? 1,
      presence_penalty: body.presence_penalty ?? 0,
      frequency_penalty: body.frequency_penalty ?? 0,
      logit_bias: body.logit_bias ?? {},
      suppress_tokens: [],
    },
    verification: extra?.verification,
    receipt: extra?.receipt ?? false,
    stop: body.stop ?? [],
    ignoreEos: body.ignore_eos ?? false,
    stopTokenIds: body.stop_token_ids ?? [],
    includeStop: body.include_stop_str_in_output ?? false,
    minNewTokens: body.min_tokens ?? 0,
    skipSpecialTokens: body.skip_special_tokens ?? true,
  };
}

/** The first choice has the request's own seed, so that a request for more choices begins with the same answer. */
function withSeeds(answers: readonly AnswerParams[], seed: number | null | undefined): AnswerParams[] {
  if (seed == null) return [...answers];
  return answers.map((params, i) => ({ ...params, seed: i === 0 ? seed : deriveSeed(seed, `choice/${i}`) }));
}

function completionPrompt(
  prompt: string | number[],
  body: CompletionRequest,
  { codec, card }: AnsweringPair,
): Int32Array {
  if (typeof prompt !== 'string') return checkedIds(prompt, card);
  return codec.encodePrompt(prompt, {
    parseSpecial: body.parse_special ?? false,
    addSpecialTokens: body.add_special_tokens ?? true,
  });
}

function lastTokens(tokenIds: Int32Array, { truncate_prompt_tokens: numKept }: CommonRequest): Int32Array {
  return numKept == null ? tokenIds : tokenIds.slice(-numKept);
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
