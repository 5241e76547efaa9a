/** GET /health and /version, where load balancers and clients of vLLM and llama.cpp look for them. */
import { ServiceError } from '@forerunner/protocol';
import type { Readiness, ServiceApp } from '@forerunner/service-kit';
import { z } from 'zod';
import { documented } from '../docs/documented.ts';
import { VERSION } from '../version.ts';

export function registerHealthRoutes(app: ServiceApp, readiness: () => Readiness): void {
  const health = documented({
    summary: 'Can it answer? As /readyz',
    tag: 'Service',
    reply: z.object({ status: z.literal('ok') }),
    isOpen: true,
  });
  app.get('/health', { schema: health, logLevel: 'warn' }, async () => {
    const now = readiness();
    if (!now.ready) throw new ServiceError('not_ready', now.reason);
    return { status: 'ok' };
  });
  const version = documented({
    summary: 'Version of this server',
    tag: 'Service',
    reply: z.object({ version: z.string() }),
    isOpen: true,
  });
  app.get('/version', { schema: version, logLevel: 'warn' }, async () => ({ version: VERSION }));
}
