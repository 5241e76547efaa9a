/**
 * The HTTP shell that every service shares: parsers, errors, request ids, health, metrics, one log line per request.
 * Knows nothing of models or generation.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { errorBody, REQUEST_ID_HEADER, ServiceError } from '@forerunner/protocol';
import Fastify, { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import type { Registry } from 'prom-client';
import { installBodyParsers } from './body-parsers.ts';
import type { ChannelServer } from './channel/server.ts';
import { installErrorHandlers, toServiceError } from './http-errors.ts';
import { installMetrics, watchEnd } from './http-metrics.ts';
import type { Logger } from './logger.ts';
import { isRequestId } from './request-id.ts';
import type { ServiceApp } from './service-app.ts';
import { type ZodTypeProvider, zodValidatorCompiler } from './zod-provider.ts';

/** Ready, or one sentence that says what is missing. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string };

export interface AppOptions {
  readonly logger: Logger;
  readonly registry: Registry;
  readonly readiness: () => Readiness | Promise<Readiness>;
  readonly bodyLimitBytes: number;
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  /** Calls that arrive without HTTP around each. Not together with `tls`. */
  readonly channels?: ChannelServer;
}

export function createApp(options: AppOptions): ServiceApp {
  const { registry, channels } = options;
  const logger: FastifyBaseLogger = options.logger;
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: options.bodyLimitBytes,
    requestTimeout: 60_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // Fastify's own has no code
    genReqId: (request: IncomingMessage) => {
      const given = request.headers[REQUEST_ID_HEADER];
      return isRequestId(given) ? given : randomUUID();
    },
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
      const shown = toServiceError(error);
      void reply.code(shown.status).send(errorBody(shown, request.id));
    },
    clientErrorHandler: answerClientError,
    ...(options.tls && { https: options.tls }),
    ...(channels && { http: { shouldUpgradeCallback: channels.accepts } }),
  }).withTypeProvider<ZodTypeProvider>();

  app.setValidatorCompiler(zodValidatorCompiler);
  // Replies are built from typed objects by this code: checking them again would only cost time.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  installBodyParsers(app);
  installErrorHandlers(app);
  const count = installMetrics(app, registry);
  channels?.attach(app.server, count);

  // One hook, and not an async one: every call between the services passes here.
  let isClosing = false;
  app.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID_HEADER, request.id);
    watchEnd(reply.raw, (status) => {
      const { id, method, routeOptions } = request;
      count(method, routeOptions.url, status);
      const ms = Math.round(reply.elapsedTime * 10) / 10;
      const level = routeOptions.config.isRoutine ? 'debug' : 'info';
      request.log[level]({ req_id: id, method, route: routeOptions.url, status, ms }, 'request');
    });
    if (!isClosing) return done();
    reply.header('connection', 'close');
    done(new ServiceError('shutting_down', 'the service is stopping'));
  });

  // Closing waits for every connection. One whose answer ends only now would idle until its keep-alive time is over.
  app.addHook('preClose', async () => {
    isClosing = true;
    channels?.drain();
    const sweep = setInterval(() => app.server.closeIdleConnections(), 50);
    app.server.once('close', () => clearInterval(sweep));
  });

  app.get('/healthz', { logLevel: 'warn' }, async () => ({ status: 'ok' }));
  app.get('/readyz', { logLevel: 'warn' }, async () => {
    const readiness = await options.readiness();
    if (!readiness.ready) throw new ServiceError('not_ready', readiness.reason);
    return { status: 'ready' };
  });
  return app;
}

/** Aborts when the client goes away before its answer is complete. */
export function disconnectSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) {
      controller.abort(new ServiceError('client_closed_request', 'the client closed the connection'));
    }
  });
  return controller.signal;
}

/** What arrives before there is a request: malformed HTTP, header floods, time-outs. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request_timeout' : 'invalid_request';
  const shown = new ServiceError(code, `malformed HTTP request (${error.code ?? 'unknown'})`);
  const body = JSON.stringify(errorBody(shown, randomUUID()));
  socket.end(
    `HTTP/1.1 ${shown.status} Bad Request\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
