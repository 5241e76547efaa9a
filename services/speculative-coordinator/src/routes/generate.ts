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
import type { AnswerParams } from '../generation/answer-params.ts';
import type { Caller, RunningAnswer } from '../generation/answer-runner.ts';
import { structuredOutput } from '../generation/grammar/structured-output.ts';
import type { RoundRecord } from '../generation/round.ts';
import type { ServedPair } from '../pair/pair.ts';
import { EventStream } from '../sse.ts';
import type { AnswerRouteDeps } from './answer-route.ts';

const docs = documented({
  summary: 'Continue a prompt, or answer a chat',
  tag: 'Generation',
  reply: generateReplySchema,
  events:
    'One event per round with new text, a last one with the summary, then [DONE]; an event named error if it breaks.',
});

export function registerGenerateRoute(app: ServiceApp, deps: AnswerRouteDeps): void {
  const onRequest = async () => deps.requests.requireRoom('/generate');
  app.post('/generate', { schema: { ...docs, body: generateRequestSchema }, onRequest }, async (request, reply) => {
    const { body } = request;
    const caller = deps.callerOf(request, reply);
    if (body.stream) return stream(deps, body, caller, reply);
    return answer(deps, body, caller, async (running) => {
      for await (const _ of running.rounds());
      return replyOf(running, body, request.id);
    });
  });
}

/** Runs the one answer of a request, which counts once. */
function answer<T>(
  { pairs, runner, requests }: AnswerRouteDeps,
  body: GenerateRequest,
  caller: Caller,
  consume: (answer: RunningAnswer) => Promise<T>,
): Promise<T> {
  return requests.count(caller, async () => {
    const pair = pairs.find();
    const [result] = await runner.run({ answers: [paramsOf(body, pair)], pair }, caller, consume);
    return result!;
  });
}

function paramsOf(body: GenerateRequest, { codec, draftingDefaults }: ServedPair): AnswerParams {
  return {
    promptTokenIds:
      body.messages === undefined
        ? codec.encodePrompt(body.prompt ?? '', { parseSpecial: body.parse_special })
        : codec.encodeChat({ turns: body.messages }),
    maxNewTokens: body.max_new_tokens,
    ...draftingDefaults.resolve(body),
    sampling: samplingOf(body),
    seed: body.seed,
    verification: body.verification,
    stop: body.stop,
    ignoreEos: body.ignore_eos,
    grammar: body.structured_outputs && structuredOutput(body.structured_outputs, 'structured_outputs.'),
    numTopLogprobs: null,
    receipt: body.receipt,
  };
}

function samplingOf(body: GenerateRequest): AnswerParams['sampling'] {
  const { temperature, top_k, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty } = body;
  const { logit_bias, suppress_tokens } = body;
  return {
    temperature,
    top_k,
    top_p,
    min_p,
    repetition_penalty,
    presence_penalty,
    frequency_penalty,
    logit_bias,
    suppress_tokens,
  };
}

/** Everything but the text is the same for a plain reply and for the last event of a stream. */
function summaryOf(running: RunningAnswer, id: string) {
  const { output, statistics, seed, modelId, numPromptTokens } = running;
  const receipt = running.receipt();
  return {
    id,
    model: modelId,
    finish_reason: output.finishReason!,
    seed,
    usage: {
      prompt_tokens: numPromptTokens,
      prompt_tokens_details: { cached_tokens: statistics.numCachedPromptTokens },
      completion_tokens: output.tokenIds.length,
      total_tokens: numPromptTokens + output.tokenIds.length,
    },
    metrics: statistics.metrics(),
    ...(receipt && { receipt }),
  };
}

function replyOf(running: RunningAnswer, body: GenerateRequest, id: string): GenerateReply {
  const { output } = running;
  return {
    ...summaryOf(running, id),
    text: output.text,
    ...(body.return_token_ids && { token_ids: output.tokenIds, provenance: output.provenance }),
  };
}

/** Events: one per round with new text, a last one with the summary, then [DONE]; an `error` event if it breaks. */
async function stream(
  deps: AnswerRouteDeps,
  body: GenerateRequest,
  caller: Caller,
  reply: FastifyReply,
): Promise<void> {
  const events = new EventStream(reply, caller.signal);
  try {
    await answer(deps, body, caller, async (running) => {
      for await (const round of running.rounds()) await events.send(roundEvent(round, body));
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

function roundEvent({ text, tokens, numDraftTokens, numAcceptedTokens }: RoundRecord, body: GenerateRequest) {
  return {
    text,
    ...(body.return_token_ids && {
      token_ids: tokens.map((token) => token.tokenId),
      token_texts: tokens.map((token) => token.text),
      provenance: tokens.map((token) => token.provenance),
      num_draft_tokens: numDraftTokens,
      num_accepted_tokens: numAcceptedTokens,
    }),
  };
}
