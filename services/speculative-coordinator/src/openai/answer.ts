/** Answers one parsed request in a dialect: as one reply, or as a stream of chunks. */
import type { GenerationMetrics, ModelCard } from '@forerunner/protocol';
import { toServiceError } from '@forerunner/service-kit';
import type { FastifyReply } from 'fastify';
import type { GenerationCaller, GenerationOrder, Generator, RunningGeneration } from '../generation/generator.ts';
import { EventStream } from '../sse.ts';
import { TokenTail } from './choices.ts';
import { type Dialect, type PlacedToken, provenanceOf, roundOf } from './dialect.ts';
import { openAiError } from './errors.ts';
import type { CommonRequest } from './fields.ts';
import { metricsOf, usageOf } from './usage.ts';

export interface AnswerCall<Body extends CommonRequest> {
  readonly dialect: Dialect<Body>;
  readonly body: Body;
  readonly orders: readonly GenerationOrder[];
  readonly generator: Generator;
  readonly caller: GenerationCaller;
  readonly card: ModelCard;
}

export async function answerWhole<Body extends CommonRequest>(call: AnswerCall<Body>): Promise<object> {
  const { dialect, body, orders, generator, caller } = call;
  const tails = orders.map(() => new TokenTail());
  const released: PlacedToken[][] = orders.map(() => []);
  const choices = await generator.run(orders, caller, async (running, index) => {
    for await (const step of running.generation.steps()) released[index]!.push(...tails[index]!.add(step));
    return running;
  });
  return {
    ...headOf(call, dialect.object),
    choices: choices.map(({ generation, seed }, index) => ({
      ...dialect.choice(
        {
          index,
          text: generation.output.text,
          logprobTokens: dialect.wantsLogprobs(body) ? released[index]! : null,
          finishReason: generation.output.finishReason,
        },
        generator,
      ),
      forerunner: { seed, ...(body.forerunner?.return_provenance && { tokens: provenanceOf(released[index]!) }) },
    })),
    ...totalsOf(orders, choices),
  };
}

/** Chunks as they come, then [DONE]. Errors: whatever fails before the first chunk; later it becomes an error event. */
export async function answerStream<Body extends CommonRequest>(
  call: AnswerCall<Body>,
  reply: FastifyReply,
): Promise<void> {
  const { dialect, body, orders, generator, caller } = call;
  const includeUsage = body.stream_options?.include_usage === true;
  const head = { ...headOf(call, dialect.chunkObject), ...(includeUsage && { usage: null }) };
  const wantsLogprobs = dialect.wantsLogprobs(body);
  const wantsProvenance = body.forerunner?.return_provenance === true;
  const tails = orders.map(() => new TokenTail());
  const opened = new Set<number>();
  const events = new EventStream(reply, caller.signal);
  const send = (data: object | string) => events.send(data);
  try {
    const choices = await generator.run(orders, caller, async (running, index) => {
      for await (const step of running.generation.steps()) {
        const opening = opened.has(index) ? null : dialect.opening(index);
        opened.add(index);
        if (opening) await send({ ...head, choices: [opening] });
        const tokens = tails[index]!.add(step);
        const logprobTokens = wantsLogprobs ? tokens : null;
        if (step.text !== '' || (wantsLogprobs && tokens.length > 0)) {
          const part = { index, text: step.text, logprobTokens, finishReason: null };
          const forerunner = wantsProvenance && { forerunner: { tokens: provenanceOf(tokens), round: roundOf(step) } };
          await send({ ...head, choices: [{ ...dialect.chunk(part, generator), ...forerunner }] });
        }
      }
      const { finishReason } = running.generation.output;
      const end = dialect.chunk({ index, text: '', logprobTokens: null, finishReason }, generator);
      await send({ ...head, choices: [{ ...end, forerunner: { seed: running.seed } }] });
      return running;
    });
    if (includeUsage) await send({ ...head, choices: [], ...totalsOf(orders, choices) });
    await send('[DONE]');
  } catch (error) {
    if (!events.isOpen) throw error;
    const shown = toServiceError(error);
    if (shown.code === 'internal_error') caller.logger.error({ err: error }, 'unexpected error');
    events.fail(openAiError(shown));
  } finally {
    events.end();
  }
}

function headOf<Body extends CommonRequest>({ dialect, caller, card }: AnswerCall<Body>, object: string) {
  return {
    id: `${dialect.idPrefix}-${caller.requestId}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: card.model_id,
    system_fingerprint: `fp_${card.model_digest.slice(0, 12)}`,
  };
}

/** Prompts count once each, however many choices they have. */
function totalsOf(
  orders: readonly GenerationOrder[],
  choices: readonly RunningGeneration[],
): { usage: object; metrics: GenerationMetrics } {
  const prompts = new Set(orders.map((order) => order.promptTokenIds));
  const numPromptTokens = [...prompts].reduce((total, ids) => total + ids.length, 0);
  return { usage: usageOf(choices, numPromptTokens), metrics: metricsOf(choices) };
}
