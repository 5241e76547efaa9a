/** Answers one parsed request in a dialect: as one reply, or as a stream of chunks. */
import type { GenerationMetrics, ModelCard } from '@forerunner/protocol';
import { toServiceError } from '@forerunner/service-kit';
import type { FastifyReply } from 'fastify';
import type { AnswerParams } from '../generation/answer-params.ts';
import type { Caller, RunningAnswer } from '../generation/answer-runner.ts';
import type { Output } from '../generation/output.ts';
import type { ServedPair } from '../pair/pair.ts';
import type { AnswerRouteDeps } from '../routes/answer-route.ts';
import { EventStream } from '../sse.ts';
import { type ChoicePart, type Dialect, endTokens, type PlacedToken, provenanceOf, roundOf } from './dialect.ts';
import { type Echo, echoOf } from './echo.ts';
import { openAiError } from './errors.ts';
import type { CommonRequest } from './fields.ts';
import { scopedCaller } from './scoped-caller.ts';
import { TokenTail } from './token-tail.ts';
import { type AnswerReader, addedUp } from './tools/answer-reader.ts';
import { extrasOf, metricsOf, usageOf } from './usage.ts';

export interface AnswerCall<Body extends CommonRequest> {
  readonly dialect: Dialect<Body>;
  readonly body: Body;
  readonly caller: Caller;
  readonly deps: Pick<AnswerRouteDeps, 'pairs' | 'runner' | 'requests'>;
}

export async function answerWhole<Body extends CommonRequest>(call: AnswerCall<Body>): Promise<object> {
  const { dialect, body, caller, deps } = call;
  return deps.requests.count(caller, async () => {
    const pair = deps.pairs.find(body.model);
    const answers = dialect.answers(body, pair);
    const released: PlacedToken[][] = answers.map(() => []);
    const echoes: (Echo | null)[] = answers.map(() => null);
    const choices = await deps.runner.run({ answers, pair }, scopedCaller(call.caller, body), async (answer, index) => {
      const echo = echoIn(answers[index]!, answer, pair);
      echoes[index] = echo;
      const tail = new TokenTail(echo?.text.length);
      for await (const round of answer.rounds()) released[index]!.push(...tail.add(round));
      released[index]!.push(...endTokens(dialect, tail, answer.output));
      return answer;
    });
    return {
      ...headOf(call, dialect.object, pair.card),
      choices: choices.map((answer, index) => ({
        ...dialect.choice(
          {
            index,
            text: (echoes[index]?.text ?? '') + answer.output.text,
            logprobTokens: dialect.wantsLogprobs(body)
              ? [...(echoes[index]?.logprobTokens ?? []), ...released[index]!]
              : null,
            ...readWhole(dialect.openReader?.(body, answers[index]!, pair.codec), answer.output),
          },
          pair.codec,
        ),
        forerunner: {
          ...extrasOf(answer),
          ...(body.forerunner?.return_provenance && { tokens: provenanceOf(released[index]!) }),
        },
      })),
      ...totalsOf(answers, choices),
    };
  });
}

/** Chunks as they come, then [DONE]. Errors: whatever fails before the first chunk; later it becomes an error event. */
export async function answerStream<Body extends CommonRequest>(
  call: AnswerCall<Body>,
  reply: FastifyReply,
): Promise<void> {
  const { caller, deps } = call;
  const events = new EventStream(reply, caller.signal);
  try {
    await deps.requests.count(caller, () => sendChunks(call, events));
  } catch (error) {
    if (!events.isOpen) throw error;
    const shown = toServiceError(error);
    if (shown.code === 'internal_error') caller.logger.error({ err: error }, 'unexpected error');
    events.fail(openAiError(shown));
  } finally {
    events.end();
  }
}

async function sendChunks<Body extends CommonRequest>(call: AnswerCall<Body>, events: EventStream): Promise<void> {
  const { dialect, body, deps } = call;
  const pair = deps.pairs.find(body.model);
  const answers = dialect.answers(body, pair);
  const includeUsage = body.stream_options?.include_usage === true;
  const head = { ...headOf(call, dialect.chunkObject, pair.card), ...(includeUsage && { usage: null }) };
  const wantsLogprobs = dialect.wantsLogprobs(body);
  const wantsProvenance = body.forerunner?.return_provenance === true;
  const sendChoice = (choice: object) => events.send({ ...head, choices: [choice] });
  const choices = await deps.runner.run({ answers, pair }, scopedCaller(call.caller, body), async (answer, index) => {
    const echo = echoIn(answers[index]!, answer, pair);
    const tail = new TokenTail(echo?.text.length);
    const reader = dialect.openReader?.(body, answers[index]!, pair.codec);
    const open = async () => {
      const opening = dialect.opening(index, echo, pair.codec);
      if (opening) await sendChoice(opening);
    };
    if (answers[index]!.maxNewTokens === 0) await open(); // there will be no round
    for await (const round of answer.rounds()) {
      if (round.index === 0) await open();
      const tokens = tail.add(round);
      const message = reader?.push(round.text);
      const isSilent = reader ? message === null && !wantsProvenance : round.text === '';
      if (isSilent && !(wantsLogprobs && tokens.length > 0)) continue;
      const logprobTokens = wantsLogprobs ? tokens : null;
      const part = { index, text: round.text, logprobTokens, finishReason: null, message };
      const forerunner = wantsProvenance && { forerunner: { tokens: provenanceOf(tokens), round: roundOf(round) } };
      await sendChoice({ ...dialect.chunk(part, pair.codec), ...forerunner });
    }
    const rest = reader?.end();
    const last = { index, text: '', logprobTokens: null };
    if (rest) await sendChoice(dialect.chunk({ ...last, finishReason: null, message: rest }, pair.codec));
    const ending = endTokens(dialect, tail, answer.output);
    const logprobTokens = wantsLogprobs && ending.length > 0 ? ending : null;
    const finishReason = finishReasonOf(reader, answer.output);
    const end = dialect.chunk({ ...last, logprobTokens, finishReason }, pair.codec);
    await sendChoice({ ...end, forerunner: extrasOf(answer) });
    return answer;
  });
  if (includeUsage) await events.send({ ...head, choices: [], ...totalsOf(answers, choices) });
  await events.send('[DONE]');
}

function echoIn(params: AnswerParams, answer: RunningAnswer, { codec }: ServedPair): Echo | null {
  return params.echo ? echoOf(params, answer.promptLogprobs, codec) : null;
}

/** A message and the reason of its end, as a reader has them. */
function readWhole(reader: AnswerReader | undefined, output: Output): Pick<ChoicePart, 'finishReason' | 'message'> {
  if (!reader) return { finishReason: output.finishReason };
  const message = addedUp([reader.push(output.text), reader.end()]);
  return { finishReason: finishReasonOf(reader, output), message };
}

/** An answer that called a tool and ended by itself ended for that. */
function finishReasonOf(reader: AnswerReader | undefined, { finishReason }: Output): ChoicePart['finishReason'] {
  return finishReason === 'stop' && reader?.hasToolCalls ? 'tool_calls' : finishReason;
}

function headOf<Body extends CommonRequest>({ dialect, caller }: AnswerCall<Body>, object: string, card: ModelCard) {
  return {
    id: `${dialect.idPrefix}-${caller.requestId}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: card.model_id,
    system_fingerprint: `fp_${card.model_digest.slice(0, 12)}`,
  };
}

function totalsOf(
  answers: readonly AnswerParams[],
  choices: readonly RunningAnswer[],
): { usage: object; metrics: GenerationMetrics } {
  return { usage: usageOf(answers, choices), metrics: metricsOf(choices) };
}
