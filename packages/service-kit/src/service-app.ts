/** The type of every service's app: Fastify whose routes carry zod schemas. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from './zod-provider.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The trio calls it by itself, over and over: logged at debug, others at info. */
    isRoutine?: boolean;
  }
}

/** An app whose routes carry zod schemas. Plugins that know none take it by `withTypeProvider<FastifyTypeProviderDefault>()`. */
export type ServiceApp = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;
