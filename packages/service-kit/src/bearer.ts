/** Bearer tokens between services. */
import { timingSafeEqual } from 'node:crypto';
import { ServiceError } from '@forerunner/protocol';
import type { FastifyRequest } from 'fastify';

/** Compares in constant time. */
export function isBearer(authorization: string | undefined, token: string): boolean {
  const expected = Buffer.from(`Bearer ${token}`);
  const given = Buffer.from(authorization ?? '');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** A hook that demands a bearer token. */
export function bearerGuard(token: string): (request: FastifyRequest) => Promise<void> {
  return async ({ headers }) => {
    if (!isBearer(headers.authorization, token)) {
      throw new ServiceError('unauthorized', 'a valid bearer token is needed');
    }
  };
}
