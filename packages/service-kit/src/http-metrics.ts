/** /metrics, and the request counter that every service has. Names of what a service counts are its own business. */
import { ERROR_STATUS } from '@forerunner/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';

export function createRegistry(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** Serves /metrics; returns what counts a request that ended. */
export function installMetrics(app: FastifyInstance, registry: Registry): OnEnd {
  const requests = new Counter({
    name: 'forerunner_http_requests_total',
    help: 'HTTP requests ended, by method, route pattern and status; 499 when the client left before its answer was complete. Denominator of error rates.',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
  });
  app.get('/metrics', { logLevel: 'warn' }, async (_request, reply) => {
    reply.type(registry.contentType);
    return registry.metrics();
  });
  return (request, _reply, status) => {
    requests.inc({ method: request.method, route: request.routeOptions.url ?? 'unknown', status });
  };
}

/** Called once for every request, answered or abandoned by its client (Fastify's onResponse skips those). */
export type OnEnd = (request: FastifyRequest, reply: FastifyReply, status: number) => void;

export function watchEnd(request: FastifyRequest, reply: FastifyReply, onEnd: OnEnd): void {
  let isAnswered = false;
  reply.raw.once('finish', () => {
    isAnswered = true;
    onEnd(request, reply, reply.raw.statusCode);
  });
  reply.raw.once('close', () => {
    if (!isAnswered) onEnd(request, reply, ERROR_STATUS.client_closed_request);
  });
}
