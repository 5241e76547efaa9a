/** Who asks, as the answer runner wants to know it: the connection's life, the request's time, and what the key allows. */
import { ServiceError } from '@forerunner/protocol';
import { disconnectSignal } from '@forerunner/service-kit';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../generation/answer-runner.ts';

export type CallerOf = (request: FastifyRequest, reply: FastifyReply) => Caller;

export interface CallerOptions {
  /** Longest life of a request, a slow reader's included. */
  readonly timeoutMs: number;
  readonly cacheScopeOf: (request: FastifyRequest) => string;
  readonly onTokens: (request: FastifyRequest, numPromptTokens: number, numCompletionTokens: number) => void;
}

export function createCallerOf({ timeoutMs, cacheScopeOf, onTokens }: CallerOptions): CallerOf {
  return (request, reply) => {
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new ServiceError('request_timeout', `the answer took longer than ${timeoutMs / 1000} s`));
    }, timeoutMs).unref();
    reply.raw.once('close', () => clearTimeout(timer));
    return {
      route: request.routeOptions.url ?? 'unknown',
      requestId: request.id,
      signal: AbortSignal.any([disconnectSignal(reply), late.signal]),
      logger: request.log,
      cacheScope: cacheScopeOf(request),
      onTokens: (numPromptTokens, numCompletionTokens) => onTokens(request, numPromptTokens, numCompletionTokens),
    };
  };
}
