/**
 * Checks every request before its body is read: which key is this, may it ask now, and what did it use. Without a key
 * file everybody may ask, and limits count by address.
 */
import { timingSafeEqual } from 'node:crypto';
import { ERROR_STATUS, ServiceError } from '@forerunner/protocol';
import { watchEnd } from '@forerunner/service-kit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Counter, type Registry } from 'prom-client';
import { digestOf, type KeyEntry } from './key-file.ts';
import type { KeyRing } from './key-ring.ts';
import { isPublic } from './public-routes.ts';

export interface GuardOptions {
  /** null: no keys are needed. */
  readonly keyRing: KeyRing | null;
  readonly registry: Registry;
  /** Requests at the same time for keys that say nothing themselves; 0: no limit. */
  readonly maxConcurrentPerKey: number;
  readonly rateLimitPerMinute: number;
  /** Bearer token for /metrics; absent: open. */
  readonly metricsToken?: string | undefined;
}

export class Guard {
  readonly #options: GuardOptions;
  readonly #entries = new WeakMap<FastifyRequest, KeyEntry>();
  readonly #running = new Map<string, number>();
  readonly #requests: Counter<'key' | 'outcome'>;
  readonly #tokens: Counter<'key' | 'kind'>;

  constructor(options: GuardOptions) {
    this.#options = options;
    const registers = [options.registry];
    this.#requests = new Counter({
      name: 'forerunner_key_requests_total',
      help: 'Requests with an API key, by the name of the key and the outcome (ok, refused, limited, cancelled, failed).',
      labelNames: ['key', 'outcome'],
      registers,
    });
    this.#tokens = new Counter({
      name: 'forerunner_key_tokens_total',
      help: 'Tokens of answers that began, by the name of the key and the kind (prompt, completion).',
      labelNames: ['key', 'kind'],
      registers,
    });
  }

  install(app: FastifyInstance): void {
    app.addHook('onRequest', async (request, reply) => {
      watchEnd(reply.raw, (status) => {
        const entry = this.#entries.get(request);
        if (entry) this.#requests.inc({ key: entry.name, outcome: outcomeOf(status) });
      });
      this.#enter(request, reply);
    });
  }

  /** Requests of one scope may share cached prefixes; '' where there are no keys. */
  cacheScopeOf(request: FastifyRequest): string {
    const entry = this.#entries.get(request);
    if (!entry) return '';
    return entry.cache_scope === undefined ? `key:${entry.name}` : `scope:${entry.cache_scope}`;
  }

  countTokens(request: FastifyRequest, numPromptTokens: number, numCompletionTokens: number): void {
    const key = this.#entries.get(request)?.name;
    if (key === undefined) return;
    this.#tokens.inc({ key, kind: 'prompt' }, numPromptTokens);
    this.#tokens.inc({ key, kind: 'completion' }, numCompletionTokens);
  }

  /** Whom a rate limit counts: the key, or the address where there are no keys. */
  ratedAs(request: FastifyRequest): string {
    const entry = this.#entries.get(request);
    return entry ? `key:${entry.name}` : `address:${request.ip}`;
  }

  /** 0: no limit. */
  requestsPerMinuteOf(request: FastifyRequest): number {
    return this.#entries.get(request)?.requests_per_minute ?? this.#options.rateLimitPerMinute;
  }

  #enter(request: FastifyRequest, reply: FastifyReply): void {
    const { keyRing, metricsToken } = this.#options;
    const url = request.routeOptions.url;
    if (isPublic(url, request.method)) return;
    if (url === '/metrics') {
      if (metricsToken !== undefined && !isSame(bearerOf(request) ?? '', metricsToken))
        throw unauthorized(request, reply);
      return;
    }
    if (!keyRing) return;
    const entry = keyRing.find(bearerOf(request) ?? '');
    if (!entry) throw unauthorized(request, reply);
    this.#entries.set(request, entry);
    this.#takePlace(entry, reply);
  }

  #takePlace(entry: KeyEntry, reply: FastifyReply): void {
    const limit = entry.max_concurrent ?? this.#options.maxConcurrentPerKey;
    const running = this.#running.get(entry.name) ?? 0;
    if (limit > 0 && running >= limit) {
      throw new ServiceError(
        'rate_limited',
        `this key has ${running} requests under way; at most ${limit} are allowed`,
      );
    }
    this.#running.set(entry.name, running + 1);
    reply.raw.once('close', () => {
      const left = this.#running.get(entry.name)! - 1;
      if (left > 0) this.#running.set(entry.name, left);
      else this.#running.delete(entry.name);
    });
  }
}

function bearerOf(request: FastifyRequest): string | null {
  const match = /^Bearer +(\S{1,512})$/i.exec(request.headers.authorization ?? '');
  return match?.[1] ?? null;
}

const isSame = (a: string, b: string): boolean => timingSafeEqual(digestOf(a), digestOf(b));

function unauthorized(request: FastifyRequest, reply: FastifyReply): ServiceError {
  reply.header('www-authenticate', 'Bearer');
  return new ServiceError(
    'unauthorized',
    request.headers.authorization === undefined
      ? 'an API key is needed: authorization: Bearer <key>'
      : 'the API key is not known',
  );
}

function outcomeOf(status: number): 'ok' | 'refused' | 'limited' | 'cancelled' | 'failed' {
  if (status < 400) return 'ok';
  if (status === ERROR_STATUS.client_closed_request) return 'cancelled';
  if (status === 429) return 'limited';
  return status < 500 ? 'refused' : 'failed';
}
