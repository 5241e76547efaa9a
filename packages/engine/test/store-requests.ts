/** Requests about a sequence of known tokens, for the tests of the store. */
import { TokenPrefix } from '@forerunner/protocol';
import { expect } from 'vitest';
import type { AcquireRequest } from '../src/acquire-request.ts';
import { EngineError } from '../src/errors.ts';

export const ids = (...values: number[]) => Int32Array.from(values);
export const range = (length: number, first = 0) => Int32Array.from({ length }, (_, i) => (first + i) % 11);

function digest(tokens: ArrayLike<number>): string {
  const prefix = new TokenPrefix();
  prefix.append(tokens);
  return prefix.digestAt(tokens.length);
}

export function request(
  sequenceId: string,
  before: ArrayLike<number>,
  tokenIds: Int32Array,
  more = {},
): AcquireRequest {
  const prefixDigest = digest(before);
  return { sequenceId, position: before.length, prefixDigest, scope: '', tokenIds, numReusable: 0, ...more };
}

export async function errorOf(promise: Promise<unknown>): Promise<EngineError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(EngineError);
  return error as EngineError;
}
