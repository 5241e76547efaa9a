/** Answers one parsed request of /v1/responses: whole, or as events in OpenAI's order. */
import { toServiceError } from '@forerunner/service-kit';
import type { FastifyReply } from 'fastify';
import type { Caller } from '../../generation/answer-runner.ts';
import type { ServedPair } from '../../pair/pair.ts';
import type { AnswerRouteDeps } from '../../routes/answer-route.ts';
import { EventStream } from '../../sse.ts';
import { responseAnswer } from '../answer-params.ts';
import type { PlacedToken } from '../dialect.ts';
import { openAiError } from '../errors.ts';
import { scopedCaller } from '../scoped-caller.ts';
import { TokenTail } from '../token-tail.ts';
import { numTopLogprobsOf, type ResponseRequest } from './request.ts';
import {
  endedResponse,
  messageIdOf,
  openResponse,
  outputMessage,
  type ResponseHead,
  statusOf,
  textLogprobs,
  textPart,
} from './response.ts';

export interface ResponseCall {
  readonly body: ResponseRequest;
  readonly caller: Caller;
  readonly deps: Pick<AnswerRouteDeps, 'pairs' | 'runner' | 'requests'>;
}

export async function respondWhole({ body, caller, deps }: ResponseCall): Promise<object> {
  return deps.requests.count(caller, async () => {
    const pair = deps.pairs.find(body.model);
    const params = responseAnswer(body, pair);
    const [response] = await deps.runner.run(
      { answers: [params], pair },
      scopedCaller(caller, body),
      async (answer) => {
        const tail = new TokenTail();
        const tokens: PlacedToken[] = [];
        for await (const round of answer.rounds()) tokens.push(...tail.add(round));
        const part = textPart(answer.output.text, numTopLogprobsOf(body) === null ? null : tokens, pair.codec);
        return endedResponse(headOf(body, caller, pair), params, answer, part);
      },
    );
    return response!;
  });
}

/** Errors: whatever fails before the first event; later it becomes an error event. */
export async function respondInEvents({ body, caller, deps }: ResponseCall, reply: FastifyReply): Promise<void> {
  const events = new EventStream(reply, caller.signal);
  let sequenceNumber = 0;
  const send = (type: string, fields: object) =>
    events.send({ type, sequence_number: sequenceNumber++, ...fields }, type);
  try {
    await deps.requests.count(caller, () => sendEvents({ body, caller, deps }, send));
  } catch (error) {
    if (!events.isOpen) throw error;
    const shown = toServiceError(error);
    if (shown.code === 'internal_error') caller.logger.error({ err: error }, 'unexpected error');
    const { code, message, param } = openAiError(shown).error;
    events.fail({ type: 'error', sequence_number: sequenceNumber, code, message, param });
  } finally {
    events.end();
  }
}

async function sendEvents(
  { body, caller, deps }: ResponseCall,
  send: (type: string, fields: object) => Promise<void>,
): Promise<void> {
  const pair = deps.pairs.find(body.model);
  const params = responseAnswer(body, pair);
  const head = headOf(body, caller, pair);
  const { requestId } = caller;
  const wantsLogprobs = numTopLogprobsOf(body) !== null;
  const place = { item_id: messageIdOf(requestId), output_index: 0, content_index: 0 };

  await deps.runner.run({ answers: [params], pair }, scopedCaller(caller, body), async (answer) => {
    const tail = new TokenTail();
    const all: PlacedToken[] = [];
    for await (const round of answer.rounds()) {
      if (round.index === 0) {
        // Only now: what fails before the first token is a plain error reply.
        await send('response.created', { response: openResponse(head) });
        await send('response.in_progress', { response: openResponse(head) });
        await send('response.output_item.added', {
          output_index: 0,
          item: outputMessage(requestId, 'in_progress', []),
        });
        await send('response.content_part.added', { ...place, part: textPart('', null, pair.codec) });
      }
      const tokens = tail.add(round);
      all.push(...tokens);
      if (round.text === '' && !(wantsLogprobs && tokens.length > 0)) continue;
      const logprobs = textLogprobs(wantsLogprobs ? tokens : null, pair.codec);
      await send('response.output_text.delta', { ...place, delta: round.text, logprobs });
    }
    const part = textPart(answer.output.text, wantsLogprobs ? all : null, pair.codec);
    const status = statusOf(answer);
    await send('response.output_text.done', { ...place, text: part.text, logprobs: part.logprobs });
    await send('response.content_part.done', { ...place, part });
    await send('response.output_item.done', { output_index: 0, item: outputMessage(requestId, status, [part]) });
    await send(`response.${status}`, { response: endedResponse(head, params, answer, part) });
  });
}

function headOf(body: ResponseRequest, { requestId }: Caller, { card }: ServedPair): ResponseHead {
  return { body, requestId, card, createdAt: Math.floor(Date.now() / 1000) };
}
