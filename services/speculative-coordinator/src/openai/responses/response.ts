/** The object that /v1/responses answers with, whole and as it grows. */
import { generationMetricsSchema, type ModelCard, receiptSchema } from '@forerunner/protocol';
import { z } from 'zod';
import type { AnswerParams } from '../../generation/answer-params.ts';
import type { RunningAnswer } from '../../generation/answer-runner.ts';
import { extrasOf, metricsOf, usageOf } from '../usage.ts';
import type { ItemStatus } from './output-items.ts';
import type { ResponseRequest } from './request.ts';
import { repeatedTools } from './tools.ts';

export interface ResponseHead {
  readonly body: ResponseRequest;
  readonly requestId: string;
  readonly card: ModelCard;
  readonly createdAt: number;
}

/** Everything but the output, which is empty while the answer has not ended. */
export function openResponse({ body, requestId, card, createdAt }: ResponseHead) {
  return {
    id: `resp_${requestId}`,
    object: 'response',
    created_at: createdAt,
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    model: card.model_id,
    output: [] as object[],
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    service_tier: 'default',
    store: false,
    temperature: body.temperature ?? 1,
    text: { format: body.text?.format ?? { type: 'text' } },
    ...repeatedTools(body),
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: 'disabled',
    usage: null as object | null,
    user: null,
  };
}

export const statusOf = ({ output }: RunningAnswer): ItemStatus =>
  output.finishReason === 'length' ? 'incomplete' : 'completed';

export function endedResponse(
  head: ResponseHead,
  params: AnswerParams,
  answer: RunningAnswer,
  items: readonly object[],
) {
  const status = statusOf(answer);
  const usage = usageOf([params], [answer]);
  return {
    ...openResponse(head),
    status,
    completed_at: status === 'completed' ? Math.floor(Date.now() / 1000) : null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    output: [...items],
    usage: {
      input_tokens: usage.prompt_tokens,
      input_tokens_details: { ...usage.prompt_tokens_details, cache_write_tokens: 0 },
      output_tokens: usage.completion_tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: usage.total_tokens,
    },
    metrics: metricsOf([answer]),
    forerunner: extrasOf(answer),
  };
}

const status = z.enum(['completed', 'incomplete']);
const itemSchema = z.discriminatedUnion('type', [
  z.object({
    id: z.string(),
    type: z.literal('message'),
    role: z.literal('assistant'),
    status,
    content: z.array(
      z.object({
        type: z.literal('output_text'),
        text: z.string(),
        annotations: z.array(z.unknown()),
        logprobs: z.array(z.unknown()),
      }),
    ),
  }),
  z.object({
    id: z.string(),
    type: z.literal('function_call'),
    status,
    call_id: z.string(),
    name: z.string(),
    arguments: z.string(),
  }),
  z.object({
    id: z.string(),
    type: z.literal('reasoning'),
    status,
    summary: z.array(z.unknown()),
    content: z.array(z.object({ type: z.literal('reasoning_text'), text: z.string() })),
  }),
]);

/** The parts that a client looks at; the rest repeats the request. */
export const responseReplySchema = z.looseObject({
  id: z.string(),
  object: z.literal('response'),
  created_at: z.int(),
  status,
  incomplete_details: z.object({ reason: z.literal('max_output_tokens') }).nullable(),
  model: z.string(),
  output: z.array(itemSchema),
  usage: z.object({
    input_tokens: z.int(),
    input_tokens_details: z.object({ cached_tokens: z.int(), cache_write_tokens: z.int() }),
    output_tokens: z.int(),
    output_tokens_details: z.object({ reasoning_tokens: z.int() }),
    total_tokens: z.int(),
  }),
  metrics: generationMetricsSchema,
  forerunner: z.object({ seed: z.int(), receipt: receiptSchema.optional() }),
});
