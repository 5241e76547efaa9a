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

export function installMetrics(app: FastifyInstance, registry: Registry): void {
  const requests = new Counter({
    name: 'forerunner_http_requests_total',
    help: 'HTTP requests ended, by method, route pattern and status; 499 when the client left before its answer was complete. Denominator of error rates.',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
  });
  onEnd(app, (request, _reply, status) => {
    requests.inc({ method: request.method, route: request.routeOptions.url ?? 'unknown', status });
  });
  app.get('/metrics', { logLevel: 'warn' }, async (_request, reply) => {
    reply.type(registry.contentType);
    return registry.metrics();
  });
}

/** Calls back once for every request, answered or abandoned by its client (Fastify's onResponse skips those). */
export function onEnd(
  app: FastifyInstance,
  callback: (request: FastifyRequest, reply: FastifyReply, status: number) => void,
): void {
  app.addHook('onRequest', async (request, reply) => {
    let isAnswered = false;
    reply.raw.once('finish', () => {
      isAnswered = true;
      callback(request, reply, reply.raw.statusCode);
    });
    reply.raw.once('close', () => {
      if (!isAnswered) callback(request, reply, ERROR_STATUS.client_closed_request);
    });
  });
}
