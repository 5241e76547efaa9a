/** Chats with tools, which OpenAI's route has, told as the events of POST /generate: rounds, then the summary. */
import { stream } from './api.js';

/** The summary has the `calls` that the answer makes: their names, and their arguments as text. */
export async function* callTools(input, options) {
  const calls = [];
  let seed;
  for await (const { choices, usage, metrics } of stream('/v1/chat/completions', chatRequest(input), options)) {
    if (usage) yield { usage, metrics, seed, calls };
    for (const { delta, forerunner } of choices) {
      seed ??= forerunner?.seed;
      for (const { index, function: part } of delta.tool_calls ?? []) {
        calls[index] ??= { name: part.name, arguments: '' };
        calls[index].arguments += part.arguments;
      }
      if (forerunner?.round) yield roundOf(forerunner);
    }
  }
}

function chatRequest({ max_new_tokens, draft_k, speculative, min_confidence, ...shared }) {
  return {
    ...shared,
    max_completion_tokens: max_new_tokens,
    forerunner: { draft_k, speculative, min_confidence, return_provenance: true },
    stream: true,
    stream_options: { include_usage: true },
  };
}

function roundOf({ tokens, round }) {
  return {
    ...round,
    token_ids: tokens.map(({ id }) => id),
    token_texts: tokens.map(({ text }) => text),
    provenance: tokens.map(({ provenance }) => provenance),
  };
}
