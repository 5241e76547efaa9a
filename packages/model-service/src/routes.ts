/** The shell of a model service, and the routes that both have. */
import { type ModelCard, sequenceIdSchema } from '@forerunner/protocol';
import {
  bearerGuard,
  ChannelServer,
  createApp,
  installFrameParser,
  type Logger,
  type Readiness,
  type ServiceApp,
  type ZodTypeProvider,
} from '@forerunner/service-kit';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import { throwFromEngine } from './engine-errors.ts';
import { installEngineMetrics } from './engine-metrics.ts';
import type { Methods, Model } from './model.ts';
import type { ModelServiceConfig } from './settings.ts';

export interface ModelAppDeps<M extends Methods> {
  readonly model: Model<M>;
  readonly card: ModelCard;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly readiness: () => Readiness;
}

/** Where a model service adds what is its own. */
export interface ModelRoutes {
  /** Routes under /v1. */
  readonly v1: ServiceApp;
  readonly channels: ChannelServer;
}

/** An app with health, metrics, channels, GET /v1/model and DELETE /v1/sequences/:id. */
export function createModelApp<M extends Methods>(
  config: Pick<ModelServiceConfig, 'MAX_BODY_BYTES' | 'SERVICE_TOKEN'>,
  deps: ModelAppDeps<M>,
  addRoutes: (routes: ModelRoutes) => void,
): ServiceApp {
  const { model, card, logger, registry, readiness } = deps;
  const { MAX_BODY_BYTES: maxBodyBytes, SERVICE_TOKEN: token } = config;
  const channels = new ChannelServer({ token, maxBodyBytes, logger });
  const app = createApp({ logger, registry, readiness, bodyLimitBytes: maxBodyBytes, channels });
  installFrameParser(app);
  installEngineMetrics(registry, () => (model as Model<Methods>).call('takeStats', null));
  app.register(async (scope) => {
    const v1 = scope.withTypeProvider<ZodTypeProvider>();
    if (token !== undefined) v1.addHook('onRequest', bearerGuard(token));
    v1.get('/v1/model', { config: { isRoutine: true } }, async () => ({
      ...card,
      pass_costs: await (model as Model<Methods>).call('passCosts', null).catch(throwFromEngine),
    }));
    v1.delete(
      '/v1/sequences/:sequence_id',
      { schema: { params: z.strictObject({ sequence_id: sequenceIdSchema }) }, config: { isRoutine: true } },
      async (request, reply) => {
        await (model as Model<Methods>).call('free', request.params.sequence_id).catch(throwFromEngine);
        return reply.code(204).send();
      },
    );
    addRoutes({ v1, channels });
  });
  return app;
}
