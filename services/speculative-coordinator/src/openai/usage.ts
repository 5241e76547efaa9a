/** What a request cost and how speculation went, over all of its choices; and what each has beyond the OpenAI API. */
import type { GenerationMetrics } from '@forerunner/protocol';
import type { AnswerParams } from '../generation/answer-params.ts';
import type { RunningAnswer } from '../generation/answer-runner.ts';

/**
 * Prompts count once each, however many choices they have; what was cached of one is the least that a choice found, since
 * the others may have found the first one's. Draft tokens that were refused never count: a completion token is a token
 * of the answer. `choices` are the answers that `answers` asked for, in their order.
 */
export function usageOf(answers: readonly AnswerParams[], choices: readonly RunningAnswer[]) {
  const cachedTokens = new Map<Int32Array, number>();
  choices.forEach(({ statistics }, i) => {
    const prompt = answers[i]!.promptTokenIds;
    // Where a prompt's own log probabilities are told, all of it was computed for them.
    const numCached = choices[i]!.promptLogprobs ? 0 : statistics.numCachedPromptTokens;
    cachedTokens.set(prompt, Math.min(numCached, cachedTokens.get(prompt) ?? numCached));
  });
  const numPromptTokens = sumOf([...cachedTokens.keys()].map((prompt) => prompt.length));
  const sum = (value: (choice: RunningAnswer) => number) => choices.reduce((total, c) => total + value(c), 0);
  const completionTokens = sum(({ output }) => output.tokenIds.length);
  return {
    prompt_tokens: numPromptTokens,
    prompt_tokens_details: { cached_tokens: sumOf([...cachedTokens.values()]) },
    completion_tokens: completionTokens,
    total_tokens: numPromptTokens + completionTokens,
    completion_tokens_details: {
      accepted_prediction_tokens: sum(({ statistics }) => statistics.numAcceptedPredictionTokens),
      rejected_prediction_tokens: sum(({ statistics }) => statistics.numRejectedPredictionTokens),
      reasoning_tokens: 0,
      audio_tokens: 0,
    },
  };
}

/** What an ended choice has under `forerunner`. */
export function extrasOf(answer: RunningAnswer) {
  const receipt = answer.receipt();
  return { seed: answer.seed, ...(receipt && { receipt }) };
}

/** One choice's own metrics, or those of several added up: counts are sums, rates are of the sums. */
export function metricsOf(choices: readonly RunningAnswer[]): GenerationMetrics {
  const all = choices.map(({ statistics }) => statistics.metrics());
  const [first] = all;
  if (all.length === 1) return first!;
  const counts = all.map((metrics) => metrics.speculative_decoding);
  const total = sumByName(counts) as GenerationMetrics['speculative_decoding'];
  const numTokens = sumOf(choices.map(({ output }) => output.tokenIds.length));
  const totalMs = Math.max(...all.map((metrics) => metrics.total_ms));
  const firstTokens = all.map((metrics) => metrics.time_to_first_token_ms).filter((ms) => ms !== null);
  return {
    ...first!,
    speculative_decoding: {
      ...total,
      draft_acceptance_rate: total.num_draft_tokens > 0 ? total.num_accepted_tokens / total.num_draft_tokens : null,
      mean_acceptance_length: total.num_drafts > 0 ? 1 + total.num_accepted_tokens / total.num_drafts : null,
    },
    time_to_first_token_ms: firstTokens.length > 0 ? Math.min(...firstTokens) : null,
    total_ms: totalMs,
    tokens_per_second: totalMs > 0 ? (1000 * numTokens) / totalMs : null,
    decode_tokens_per_second: null, // choices overlap in time: there is no one rate
  };
}

const sumOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

type Counts = { readonly [name: string]: number | null | readonly number[] | Counts };

/** Counts are added up, those within counts too; rates are not. */
function sumByName(all: readonly Counts[]): Counts {
  const sums = Object.entries(all[0]!).map(([name, value]) => {
    const values = all.map((one) => one[name]);
    if (Array.isArray(value)) return [name, sumByPosition(values as number[][])];
    if (typeof value === 'object' && value !== null) return [name, sumByName(values as Counts[])];
    return [name, name.startsWith('num_') ? sumOf(values as number[]) : value];
  });
  return Object.fromEntries(sums);
}

function sumByPosition(lists: readonly number[][]): number[] {
  const length = Math.max(...lists.map((list) => list.length));
  return Array.from({ length }, (_, i) => sumOf(lists.map((list) => list[i] ?? 0)));
}
