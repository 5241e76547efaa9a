/** From a parsed OpenAI request to what the generator understands: one order per choice. */
import { ServiceError } from '@forerunner/protocol';
import { deriveSeed } from '@forerunner/sampling';
import type { GenerationOrder, Generator } from '../generation/generator.ts';
import type { ChatRequest } from './chat-request.ts';
import { type CompletionRequest, promptsOf } from './completion-request.ts';
import { type CommonRequest, MAX_CHOICES } from './fields.ts';

/** OpenAI allows 0: the smallest set whose mass reaches it, which is the likeliest token alone. */
const SMALLEST_TOP_P = 1e-9;
const DEFAULT_COMPLETION_TOKENS = 16;

export function chatOrders(body: ChatRequest, generator: Generator): GenerationOrder[] {
  const promptTokenIds = generator.encodeChat(body.messages);
  const limit = body.max_completion_tokens ?? body.max_tokens;
  const { prediction } = body;
  const order = {
    ...commonOrder(body, promptTokenIds, generator, { predicted: !!prediction }),
    maxNewTokens: limit ?? remainingTokens(promptTokenIds.length, generator),
    numTopLogprobs: body.logprobs ? (body.top_logprobs ?? 0) : null,
    predictionTokenIds: prediction ? generator.encodeFragment(prediction.content) : undefined,
  };
  return withSeeds(Array(body.n ?? 1).fill(order), body.seed);
}

export function completionOrders(body: CompletionRequest, generator: Generator): GenerationOrder[] {
  const prompts = promptsOf(body.prompt);
  const n = body.n ?? 1;
  if (n * prompts.length > MAX_CHOICES) {
    throw new ServiceError(
      'invalid_request',
      `"n": ${n} choices for each of ${prompts.length} prompts exceed ${MAX_CHOICES} in all`,
      { field: 'n' },
    );
  }
  const orders = prompts.flatMap((prompt) => {
    const promptTokenIds =
      typeof prompt === 'string' ? generator.encodePrompt(prompt) : checkedIds(prompt, generator.requireTarget());
    const order = {
      ...commonOrder(body, promptTokenIds, generator),
      maxNewTokens: body.max_tokens ?? DEFAULT_COMPLETION_TOKENS,
      numTopLogprobs: body.logprobs ?? null,
    };
    return Array<GenerationOrder>(n).fill(order);
  });
  return withSeeds(orders, body.seed);
}

/** Errors: not_found when the request names a model that is not served. */
export function checkModel(model: string | null | undefined, served: string): void {
  if (model == null || model === served) return;
  const message = `there is no model "${model.slice(0, 100)}"; this server has "${served}"`;
  throw new ServiceError('not_found', message, { field: 'model' });
}

function commonOrder(
  body: CommonRequest,
  promptTokenIds: Int32Array,
  generator: Generator,
  { predicted = false } = {},
) {
  const extra = body.forerunner;
  return {
    promptTokenIds,
    ...generator.drafting(extra ?? {}, { predicted }),
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
  };
}

/** The first choice has the request's own seed, so that a request for more choices begins with the same answer. */
function withSeeds(orders: readonly GenerationOrder[], seed: number | null | undefined): GenerationOrder[] {
  if (seed == null) return [...orders];
  return orders.map((order, i) => ({ ...order, seed: i === 0 ? seed : deriveSeed(seed, `choice/${i}`) }));
}

function remainingTokens(numPromptTokens: number, generator: Generator): number {
  // A prompt that leaves no room is refused by the generator.
  return Math.max(1, generator.requireTarget().context_length - numPromptTokens);
}

function checkedIds(tokenIds: readonly number[], { vocab_size }: { vocab_size: number }): Int32Array {
  const bad = tokenIds.find((id) => id >= vocab_size);
  if (bad !== undefined) {
    const message = `"prompt": there is no token ${bad}; the vocabulary has ${vocab_size}`;
    throw new ServiceError('token_out_of_range', message, { field: 'prompt' });
  }
  return Int32Array.from(tokenIds);
}
