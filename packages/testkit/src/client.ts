/** A client of POST /generate and /metrics, plain and streaming. */
import type { DraftSource } from '@forerunner/protocol';
import { createParser, type EventSourceMessage } from 'eventsource-parser';

export interface Answer {
  readonly text: string;
  readonly finish_reason: string;
  readonly seed: number;
  readonly token_ids: number[];
  readonly provenance: string[];
  readonly usage: {
    prompt_tokens: number;
    prompt_tokens_details: { cached_tokens: number };
    completion_tokens: number;
    total_tokens: number;
  };
  readonly metrics: {
    readonly speculative_decoding: {
      readonly num_rounds: number;
      readonly num_drafts: number;
      readonly num_draft_tokens: number;
      readonly num_accepted_tokens: number;
      readonly num_emitted_draft_tokens: number;
      readonly draft_acceptance_rate: number | null;
      readonly mean_acceptance_length: number | null;
      readonly num_draft_tokens_per_pos: number[];
      readonly num_accepted_tokens_per_pos: number[];
      readonly num_degraded_rounds: number;
      readonly by_source: Record<
        DraftSource,
        { readonly num_drafts: number; readonly num_draft_tokens: number; readonly num_accepted_tokens: number }
      >;
      readonly num_forced_tokens: number;
      readonly num_accepted_forced_tokens: number;
    };
    readonly time_to_first_token_ms: number;
    readonly total_ms: number;
    readonly tokens_per_second: number;
    readonly decode_tokens_per_second: number;
  };
}

export function postGenerate(url: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/generate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
}

/** Errors: with the whole reply when it is not a 200. */
export async function generate(url: string, body: object): Promise<Answer> {
  const reply = await postGenerate(url, { return_token_ids: true, ...body });
  const text = await reply.text();
  if (reply.status !== 200) throw new Error(`${reply.status}: ${text}`);
  return JSON.parse(text) as Answer;
}

/** Events of a stream as they come, parsed but for the last ("[DONE]"). Errors: when the reply is not a 200. */
export async function* streamEvents(
  url: string,
  body: object,
  signal?: AbortSignal,
): AsyncGenerator<{ event: string | undefined; data: unknown }> {
  const reply = await postGenerate(url, { return_token_ids: true, stream: true, ...body }, signal);
  if (reply.status !== 200 || !reply.body) throw new Error(`${reply.status}: ${await reply.text()}`);
  const waiting: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => waiting.push(message) });
  for await (const chunk of reply.body.pipeThrough(new TextDecoderStream())) {
    parser.feed(chunk);
    for (const { event, data } of waiting.splice(0)) {
      yield { event, data: data === '[DONE]' ? data : JSON.parse(data) };
    }
  }
}

/** Samples of /metrics by name and labels as written. */
export async function scrape(url: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    samples.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return samples;
}

/** Sum over all label sets of one metric. */
export function sumOf(samples: ReadonlyMap<string, number>, name: string): number {
  let sum = 0;
  for (const [key, value] of samples) if (key === name || key.startsWith(`${name}{`)) sum += value;
  return sum;
}
