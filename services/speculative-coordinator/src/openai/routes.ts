/** The OpenAI-compatible routes. They share the answer runner with every other route, and have errors of their own shape. */
import type { ModelCard } from '@forerunner/protocol';
import { installErrorHandlers, type ServiceApp, type ZodTypeProvider } from '@forerunner/service-kit';
import { z } from 'zod';
import { documented } from '../docs/documented.ts';
import type { PairDirectory } from '../pair/directory.ts';
import type { AnswerRouteDeps } from '../routes/answer-route.ts';
import { answerStream, answerWhole } from './answer.ts';
import { chatDialect } from './chat.ts';
import { completionDialect } from './completions.ts';
import type { Dialect } from './dialect.ts';
import { openAiError, openAiErrorSchema } from './errors.ts';
import type { CommonRequest } from './fields.ts';
import { modelListSchema, modelSchema } from './reply-schemas.ts';
import { registerResponsesRoute } from './responses/routes.ts';
import { registerTokenizeRoutes } from './tokenize.ts';

/** Registers everything under /v1, and vLLM's two routes beside it. */
export async function registerOpenAiRoutes(app: ServiceApp, deps: AnswerRouteDeps): Promise<void> {
  await app.register(
    async (instance) => {
      const scope = instance.withTypeProvider<ZodTypeProvider>();
      installErrorHandlers(scope, (error) => openAiError(error));
      registerModels(scope, deps.pairs);
      registerDialect(scope, chatDialect, deps);
      registerDialect(scope, completionDialect, deps);
      registerResponsesRoute(scope, deps);
    },
    { prefix: '/v1' },
  );
  registerTokenizeRoutes(app, deps.pairs);
}

function registerDialect<Body extends CommonRequest>(
  app: ServiceApp,
  dialect: Dialect<Body>,
  deps: AnswerRouteDeps,
): void {
  const docs = documented({
    summary: dialect.summary,
    tag: 'OpenAI',
    reply: dialect.replySchema,
    events: `Chunks (${dialect.chunkObject}), then [DONE]; an event named error if the answer breaks off.`,
    error: openAiErrorSchema,
  });
  const onRequest = async () => deps.requests.requireRoom(`/v1${dialect.path}`);
  app.post(dialect.path, { schema: { ...docs, body: dialect.schema }, onRequest }, async (request, reply) => {
    const body = request.body as Body;
    const call = { dialect, body, caller: deps.callerOf(request, reply), deps };
    return body.stream === true ? answerStream(call, reply) : answerWhole(call);
  });
}

function registerModels(app: ServiceApp, pairs: PairDirectory): void {
  const created = Math.floor(Date.now() / 1000);
  const describe = (id: string, { model_id: root }: ModelCard) => {
    return { id, object: 'model', created, owned_by: 'forerunner', root };
  };
  const docs = (summary: string, reply: z.ZodType) =>
    documented({ summary, tag: 'OpenAI', reply, error: openAiErrorSchema });
  app.get('/models', { schema: docs('The models that are served', modelListSchema) }, async () => ({
    object: 'list',
    data: pairs.list().map(({ name, pair }) => describe(name, pair.card)),
  }));
  app.get(
    '/models/:model',
    { schema: { ...docs('One model', modelSchema), params: z.object({ model: z.string() }) } },
    async ({ params }) => describe(params.model, pairs.find(params.model).card),
  );
}
