/** The OpenAI-compatible routes. They share the generator with every other route, and have errors of their own shape. */
import { type ModelCard, ServiceError } from '@forerunner/protocol';
import { installErrorHandlers, type ServiceApp } from '@forerunner/service-kit';
import { z } from 'zod';
import { documented } from '../docs/documented.ts';
import type { Generator } from '../generation/generator.ts';
import type { CallerOf } from '../routes/caller.ts';
import { answerStream, answerWhole } from './answer.ts';
import { chatDialect } from './chat.ts';
import { completionDialect } from './completions.ts';
import type { Dialect } from './dialect.ts';
import { openAiError, openAiErrorSchema } from './errors.ts';
import type { CommonRequest } from './fields.ts';
import { checkModel } from './orders.ts';
import { modelListSchema, modelSchema } from './reply-schemas.ts';

export interface OpenAiRouteOptions {
  readonly generator: Generator;
  readonly callerOf: CallerOf;
}

/** Registers everything under /v1. */
export async function registerOpenAiRoutes(app: ServiceApp, options: OpenAiRouteOptions): Promise<void> {
  await app.register(
    async (instance) => {
      const scope = instance as unknown as ServiceApp;
      installErrorHandlers(scope as never, (error) => openAiError(error));
      registerModels(scope, options.generator);
      registerDialect(scope, chatDialect, options);
      registerDialect(scope, completionDialect, options);
    },
    { prefix: '/v1' },
  );
}

function registerDialect<Body extends CommonRequest>(
  app: ServiceApp,
  dialect: Dialect<Body>,
  { generator, callerOf }: OpenAiRouteOptions,
): void {
  const docs = documented({
    summary: dialect.summary,
    tag: 'OpenAI',
    reply: dialect.replySchema,
    events: `Chunks (${dialect.chunkObject}), then [DONE]; an event named error if the answer breaks off.`,
    error: openAiErrorSchema,
  });
  const onRequest = async () => generator.requireRoom(`/v1${dialect.path}`);
  app.post(dialect.path, { schema: { ...docs, body: dialect.schema }, onRequest }, async (request, reply) => {
    const body = request.body as Body;
    const card = generator.requireTarget();
    checkModel(body.model, card.model_id);
    const caller = callerOf(request as never, reply as never);
    const orders = dialect.orders(body, generator);
    const call = { dialect, body, orders, generator, caller, card };
    if (body.stream !== true) return answerWhole(call);
    return answerStream(call, reply as never);
  });
}

function registerModels(app: ServiceApp, generator: Generator): void {
  const created = Math.floor(Date.now() / 1000);
  const describe = (card: ModelCard) => ({ id: card.model_id, object: 'model', created, owned_by: 'forerunner' });
  const docs = (summary: string, reply: z.ZodType) =>
    documented({ summary, tag: 'OpenAI', reply, error: openAiErrorSchema });
  app.get('/models', { schema: docs('The model that is served', modelListSchema) }, async () => ({
    object: 'list',
    data: [describe(generator.requireTarget())],
  }));
  app.get(
    '/models/:model',
    { schema: { ...docs('One model', modelSchema), params: z.object({ model: z.string() }) } },
    async (request) => {
      const card = generator.requireTarget();
      if (request.params.model !== card.model_id) {
        throw new ServiceError('not_found', `there is no such model; this server has "${card.model_id}"`, {
          field: 'model',
        });
      }
      return describe(card);
    },
  );
}
