/** POST /generate: the service's own route, plain or as server-sent events. */
import {
  errorBody,
  type GenerateReply,
  type GenerateRequest,
  generateReplySchema,
  generateRequestSchema,
} from '@forerunner/protocol';
import { type ServiceApp, toServiceError } from '@forerunner/service-kit';
import type { FastifyReply } from 'fastify';
import { documented } from '../docs/documented.ts';
import type { GenerationStep } from '../generation/generation.ts';
import type { GenerationCaller, GenerationOrder, Generator, RunningGeneration } from '../generation/generator.ts';
import { EventStream } from '../sse.ts';
import type { CallerOf } from './caller.ts';

export interface GenerateRouteOptions {
  readonly generator: Generator;
  readonly callerOf: CallerOf;
}

const docs = documented({
  summary: 'Continue a prompt, or answer a chat',
  tag: 'Generation',
  reply: generateReplySchema,
  events:
    'One event per round with new text, a last one with the summary, then [DONE]; an event named error if it breaks.',
});

export function registerGenerateRoute(app: ServiceApp, options: GenerateRouteOptions): void {
  const { generator } = options;
  const onRequest = async () => generator.requireRoom('/generate');
  app.post('/generate', { schema: { ...docs, body: generateRequestSchema }, onRequest }, async (request, reply) => {
    const body = request.body;
    const order = orderOf(body, generator);
    const caller = options.callerOf(request as never, reply as never);
    if (body.stream) return stream(generator, order, caller, body, reply as never);
    const [whole] = await generator.run([order], caller, async (running) => {
      for await (const _ of running.generation.steps());
      return replyOf(running, body, request.id);
    });
    return whole;
  });
}

function orderOf(body: GenerateRequest, generator: Generator): GenerationOrder {
  const { temperature, top_k, top_p, min_p, presence_penalty, frequency_penalty, logit_bias } = body;
  return {
    promptTokenIds:
      body.messages === undefined ? generator.encodePrompt(body.prompt ?? '') : generator.encodeChat(body.messages),
    maxNewTokens: body.max_new_tokens,
    ...generator.drafting(body),
    sampling: { temperature, top_k, top_p, min_p, presence_penalty, frequency_penalty, logit_bias },
    seed: body.seed,
    verification: body.verification,
    stop: body.stop,
    ignoreEos: body.ignore_eos,
    numTopLogprobs: null,
  };
}

/** Everything but the text is the same for a plain reply and for the last event of a stream. */
function summaryOf({ generation, seed, modelId, numPromptTokens }: RunningGeneration, id: string) {
  const { output, statistics } = generation;
  return {
    id,
    model: modelId,
    finish_reason: output.finishReason!,
    seed,
    usage: {
      prompt_tokens: numPromptTokens,
      completion_tokens: output.tokenIds.length,
      total_tokens: numPromptTokens + output.tokenIds.length,
    },
    metrics: statistics.metrics(),
  };
}

function replyOf(running: RunningGeneration, body: GenerateRequest, id: string): GenerateReply {
  const { output } = running.generation;
  return {
    ...summaryOf(running, id),
    text: output.text,
    ...(body.return_token_ids && { token_ids: output.tokenIds, provenance: output.provenance }),
  };
}

/** Events: one per round with new text, a last one with the summary, then [DONE]; an `error` event if it breaks. */
async function stream(
  generator: Generator,
  order: GenerationOrder,
  caller: GenerationCaller,
  body: GenerateRequest,
  reply: FastifyReply,
): Promise<void> {
  const events = new EventStream(reply, caller.signal);
  try {
    await generator.run([order], caller, async (running) => {
      for await (const step of running.generation.steps()) await events.send(stepEvent(step, body));
      await events.send(summaryOf(running, caller.requestId));
      await events.send('[DONE]');
    });
  } catch (error) {
    // Whatever fails before the first token still gets a plain error reply with its own status.
    if (!events.isOpen) throw error;
    const shown = toServiceError(error);
    if (shown.code === 'internal_error') caller.logger.error({ err: error }, 'unexpected error');
    events.fail(errorBody(shown, caller.requestId));
  } finally {
    events.end();
  }
}

function stepEvent(step: GenerationStep, body: GenerateRequest) {
  return {
    text: step.text,
    ...(body.return_token_ids && {
      token_ids: step.tokens.map((token) => token.tokenId),
      token_texts: step.tokens.map((token) => token.text),
      provenance: step.tokens.map((token) => token.provenance),
      num_draft_tokens: step.numDraftTokens,
      num_accepted_tokens: step.numAcceptedTokens,
    }),
  };
}
