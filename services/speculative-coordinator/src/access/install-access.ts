/** Everything that stands between a stranger and the routes: headers, origins, keys, limits. */
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import { ServiceError } from '@forerunner/protocol';
import type { Logger, ServiceApp } from '@forerunner/service-kit';
import type { FastifyTypeProviderDefault } from 'fastify';
import type { Registry } from 'prom-client';
import type { CoordinatorConfig } from '../config.ts';
import { Guard } from './guard.ts';
import { KeyRing } from './key-ring.ts';
import { isPublic } from './public-routes.ts';

type AccessConfig = Pick<
  CoordinatorConfig,
  | 'API_KEYS_FILE'
  | 'RATE_LIMIT_PER_MINUTE'
  | 'MAX_CONCURRENT_PER_KEY'
  | 'METRICS_TOKEN'
  | 'CORS_ORIGINS'
  | 'TLS_CERT_FILE'
>;

/** Before any route is registered: plugins look at routes as they come. */
export async function installAccess(
  serviceApp: ServiceApp,
  config: AccessConfig,
  logger: Logger,
  registry: Registry,
): Promise<Guard> {
  const app = serviceApp.withTypeProvider<FastifyTypeProviderDefault>();
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    referrerPolicy: { policy: 'no-referrer' },
    // Only this server's own TLS can promise TLS for ever.
    hsts: config.TLS_CERT_FILE !== undefined,
  });
  if (config.CORS_ORIGINS.length > 0) {
    await app.register(cors, {
      origin: config.CORS_ORIGINS.includes('*') ? '*' : config.CORS_ORIGINS,
      methods: ['GET', 'POST'],
      allowedHeaders: ['authorization', 'content-type', 'x-request-id'],
      exposedHeaders: ['x-request-id', 'retry-after', 'x-ratelimit-limit', 'x-ratelimit-remaining'],
      maxAge: 3600,
    });
  }
  const guard = new Guard({
    keyRing: config.API_KEYS_FILE === undefined ? null : new KeyRing(config.API_KEYS_FILE, logger),
    registry,
    maxConcurrentPerKey: config.MAX_CONCURRENT_PER_KEY,
    rateLimitPerMinute: config.RATE_LIMIT_PER_MINUTE,
    metricsToken: config.METRICS_TOKEN,
  });
  guard.install(app);
  await app.register(rateLimit, {
    timeWindow: 60_000,
    keyGenerator: (request) => guard.ratedAs(request),
    max: (request) => guard.requestsPerMinuteOf(request),
    allowList: (request) => {
      const url = request.routeOptions.url;
      return isPublic(url, request.method) || url === '/metrics' || guard.requestsPerMinuteOf(request) === 0;
    },
    errorResponseBuilder: (_request, { max, after }) =>
      new ServiceError('rate_limited', `more than ${max} requests in a minute; try again in ${after}`),
  });
  return guard;
}
