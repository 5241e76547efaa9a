/** /metrics, and the request counter that every service has. Names of what a service counts are its own business. */
import type { ServerResponse } from 'node:http';
import { ERROR_STATUS } from '@forerunner/protocol';
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import type { ServiceApp } from './service-app.ts';

export function createRegistry(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  return registry;
}

export type RequestCounter = (method: string, route: string | undefined, status: number) => void;

/** Serves /metrics; returns what counts a request that ended. */
export function installMetrics(app: ServiceApp, registry: Registry): RequestCounter {
  const requests = new Counter({
    name: 'forerunner_http_requests_total',
    help: 'Requests ended, by method (CHANNEL: a call over an upgraded connection), route pattern and status; 499 when the client left before its answer was complete. Denominator of error rates.',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
  });
  app.get('/metrics', { logLevel: 'warn' }, async (_request, reply) => {
    reply.type(registry.contentType);
    return registry.metrics();
  });
  return (method, route = 'unknown', status) => requests.inc({ method, route, status });
}

/** Calls back once, when the answer is complete or its client gone (Fastify's onResponse skips those). */
export function watchEnd(response: ServerResponse, onEnd: (status: number) => void): void {
  let isAnswered = false;
  response.once('finish', () => {
    isAnswered = true;
    onEnd(response.statusCode);
  });
  response.once('close', () => {
    if (!isAnswered) onEnd(ERROR_STATUS.client_closed_request);
  });
}
