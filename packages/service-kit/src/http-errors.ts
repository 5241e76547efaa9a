/** Turns whatever a request ran into into one body: { error: { code, message, request_id } }. */
import { type ErrorBody, type ErrorCode, errorBody, ServiceError } from '@forerunner/protocol';
import type { FastifyError, FastifyRequest } from 'fastify';
import type { ServiceApp } from './service-app.ts';

/** Fastify's own errors, in our codes. */
const FASTIFY_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_BAD_URL: 'invalid_request',
  FST_ERR_VALIDATION: 'invalid_request',
  FST_ERR_MAX_LIMIT_REACHED: 'rate_limited',
};

export type ErrorRenderer = (error: ServiceError, request: FastifyRequest) => object;

const defaultRenderer: ErrorRenderer = (error, request): ErrorBody => errorBody(error, request.id);

/** Anything as a ServiceError; unexpected errors become a fixed text and are to be logged whole by the caller. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const { code, statusCode, message } = error as Partial<FastifyError>;
  const known = typeof code === 'string' ? FASTIFY_CODES[code] : undefined;
  if (known) return new ServiceError(known, message ?? known);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new ServiceError('invalid_request', message ?? 'invalid request');
  }
  return new ServiceError(
    'internal_error',
    'an unexpected error occurred; its request_id is in the logs',
    {},
    { cause: error },
  );
}

/** `render` lets a group of routes answer in another shape (OpenAI's). */
export function installErrorHandlers(app: ServiceApp, render: ErrorRenderer = defaultRenderer): void {
  app.setErrorHandler((error, request, reply) => {
    const shown = toServiceError(error);
    if (shown.code === 'internal_error') request.log.error({ err: error }, 'unexpected error');
    if ((shown.status === 503 || shown.status === 429) && !reply.hasHeader('retry-after')) {
      reply.header('retry-after', '1');
    }
    return reply.code(shown.status).send(render(shown, request));
  });

  const routes: { method: string; pattern: RegExp }[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    if (url.includes('*')) return; // would claim every path
    const pattern = new RegExp(`^${url.replaceAll('.', '\\.').replace(/:[^/]+/g, '[^/]+')}$`);
    for (const one of [method].flat()) routes.push({ method: one, pattern });
  });

  app.setNotFoundHandler((request, reply) => {
    const url = request.url.split('?', 1)[0]!;
    const allowed = routes.filter(({ pattern }) => pattern.test(url)).map(({ method }) => method);
    const error =
      allowed.length > 0
        ? new ServiceError(
            'method_not_allowed',
            `${request.method} is not allowed here; allowed: ${allowed.join(', ')}`,
          )
        : new ServiceError('not_found', `there is no ${request.method} ${url.slice(0, 100)}`);
    if (allowed.length > 0) reply.header('allow', allowed.join(', '));
    return reply.code(error.status).send(render(error, request));
  });
}
