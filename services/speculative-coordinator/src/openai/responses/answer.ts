/** Answers one parsed request of /v1/responses: whole, or as events in OpenAI's order. */
import { toServiceError } from '@forerunner/service-kit';
import type { FastifyReply } from 'fastify';
import type { Caller } from '../../generation/answer-runner.ts';
import type { AnswerRouteDeps } from '../../routes/answer-route.ts';
import { EventStream } from '../../sse.ts';
import { responseAnswer } from '../answer-params.ts';
import type { PlacedToken, Speller } from '../dialect.ts';
import { openAiError } from '../errors.ts';
import { chatLogprobs } from '../logprobs.ts';
import { scopedCaller } from '../scoped-caller.ts';
import { TokenTail } from '../token-tail.ts';
import { openReader } from '../tools/open-reader.ts';
import { offeredTools } from '../tools/tool-fields.ts';
import { OutputItems, type ResponseEvent } from './output-items.ts';
import { type Piece, PieceReader } from './pieces.ts';
import { demandsFormat, numTopLogprobsOf, type ResponseRequest } from './request.ts';
import { endedResponse, openResponse, statusOf } from './response.ts';

export interface ResponseCall {
  readonly body: ResponseRequest;
  readonly caller: Caller;
  readonly deps: Pick<AnswerRouteDeps, 'pairs' | 'runner' | 'requests'>;
}

type Send = (event: ResponseEvent) => Promise<void>;

export async function respondWhole(call: ResponseCall): Promise<object> {
  return call.deps.requests.count(call.caller, () => respond(call, async () => {}));
}

/** Errors: whatever fails before the first event; later it becomes an error event. */
export async function respondInEvents(call: ResponseCall, reply: FastifyReply): Promise<void> {
  const { caller, deps } = call;
  const events = new EventStream(reply, caller.signal);
  let sequenceNumber = 0;
  const send: Send = ({ type, ...fields }) => events.send({ type, sequence_number: sequenceNumber++, ...fields }, type);
  try {
    await deps.requests.count(caller, async () => {
      const response = await respond(call, send);
      await send({ type: `response.${response.status}`, response });
    });
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

/** Tells every event but the last one, and gives the whole response. */
async function respond({ body, caller, deps }: ResponseCall, send: Send) {
  const pair = deps.pairs.find(body.model);
  const params = responseAnswer(body, pair);
  const head = { body, requestId: caller.requestId, card: pair.card, createdAt: Math.floor(Date.now() / 1000) };
  const [response] = await deps.runner.run({ answers: [params], pair }, scopedCaller(caller, body), async (answer) => {
    const output = new OutputItems(caller.requestId);
    const tools = demandsFormat(body) ? [] : offeredTools(body);
    const pieces = new PieceReader(openReader(tools, params.promptTokenIds, pair.codec));
    const logprobs = numTopLogprobsOf(body) === null ? null : new MessageLogprobs(pair.codec);
    const tell = async (piece: Piece) => {
      for (const event of output.add(piece, logprobs?.of(piece, output))) await send(event);
    };
    for await (const round of answer.rounds()) {
      if (round.index === 0) {
        // Only now: what fails before the first token is a plain error reply.
        await send({ type: 'response.created', response: openResponse(head) });
        await send({ type: 'response.in_progress', response: openResponse(head) });
      }
      logprobs?.add(round);
      for (const piece of pieces.push(round.text)) await tell(piece);
    }
    for (const piece of pieces.end()) await tell(piece);
    for (const event of output.end(statusOf(answer))) await send(event);
    return endedResponse(head, params, answer, output.items);
  });
  return response!;
}

/** Log probabilities of the tokens of messages; those of thoughts before them are not told. */
class MessageLogprobs {
  readonly #tail = new TokenTail();
  readonly #codec: Speller;
  #waiting: PlacedToken[] = [];

  constructor(codec: Speller) {
    this.#codec = codec;
  }

  add(round: Parameters<TokenTail['add']>[0]): void {
    this.#waiting.push(...this.#tail.add(round));
  }

  /** Those that come with a piece of a message. */
  of(piece: Piece, output: OutputItems): object[] {
    if (piece.kind !== 'message') return [];
    const isAfterThoughts = !output.isInMessage && !output.isEmpty;
    const tokens = isAfterThoughts ? this.#waiting.filter(({ start }) => start >= piece.at) : this.#waiting;
    this.#waiting = [];
    return chatLogprobs(
      tokens.map(({ token }) => token),
      this.#codec,
    ).content;
  }
}
