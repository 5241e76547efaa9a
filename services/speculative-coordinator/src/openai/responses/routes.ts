/** POST /v1/responses, without state: nothing is stored, so nothing can be continued by an id. */
import type { ServiceApp } from '@forerunner/service-kit';
import { documented } from '../../docs/documented.ts';
import type { AnswerRouteDeps } from '../../routes/answer-route.ts';
import { openAiErrorSchema } from '../errors.ts';
import { respondInEvents, respondWhole } from './answer.ts';
import { responseRequestSchema } from './request.ts';
import { responseReplySchema } from './response.ts';

const docs = documented({
  summary: 'Answer with a response',
  tag: 'OpenAI',
  reply: responseReplySchema,
  events:
    "OpenAI's events, from response.created to response.completed or response.incomplete; error if it breaks off.",
  error: openAiErrorSchema,
});

export function registerResponsesRoute(app: ServiceApp, deps: AnswerRouteDeps): void {
  const onRequest = async () => deps.requests.requireRoom('/v1/responses');
  const schema = { ...docs, body: responseRequestSchema };
  app.post('/responses', { schema, onRequest }, async (request, reply) => {
    const call = { body: request.body, caller: deps.callerOf(request, reply), deps };
    return call.body.stream === true ? respondInEvents(call, reply) : respondWhole(call);
  });
}
