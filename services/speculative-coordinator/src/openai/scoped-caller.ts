/** `cache_salt`: a scope of its own within that of the caller, named by a digest that fits the wire. */
import { createHash } from 'node:crypto';
import type { Caller } from '../generation/answer-runner.ts';
import type { CommonRequest } from './fields.ts';

export function scopedCaller(caller: Caller, { cache_salt: salt }: Pick<CommonRequest, 'cache_salt'>): Caller {
  if (salt == null) return caller;
  const digest = createHash('sha256').update(`${caller.cacheScope}\0${salt}`).digest('hex');
  return { ...caller, cacheScope: `salt:${digest}` };
}
