/**
 * How long a text may get. A model's own context is promised only as far as the KV budget can hold one text of that length:
 * otherwise requests are let in that fail half-way, when nothing is left to evict.
 */
import { outOfMemory } from './errors.ts';
import type { Fallback } from './fallback.ts';
import type { ModelRunner } from './runner.ts';

interface Budget {
  readonly kvBudgetBytes: number;
  /** See RunnerOptions. */
  readonly minRows: number;
}

/**
 * Most tokens of a sequence: below the graph's own limit by the rows that a short pass is padded with. `fallback` says that
 * the budget holds less, with numbers. Errors: EngineError out_of_memory, when it holds no token.
 */
export function contextWithin(
  runner: Pick<ModelRunner, 'signature' | 'cacheBytes'>,
  { kvBudgetBytes, minRows }: Budget,
): { readonly contextLength: number; readonly fallback?: Fallback } {
  const whole = runner.signature.contextLength - (minRows - 1);
  const wholeBytes = runner.cacheBytes(whole);
  if (wholeBytes <= kvBudgetBytes) return { contextLength: whole };
  const contextLength = mostTokens(whole, (numTokens) => runner.cacheBytes(numTokens) <= kvBudgetBytes);
  const state = `a context of ${say(whole)} tokens needs ${mib(wholeBytes)} MiB of KV cache, the budget (KV_CACHE_MB) is ${mib(kvBudgetBytes)} MiB`;
  if (contextLength === 0) throw outOfMemory(`${state} and holds no token`, runner.cacheBytes(1));
  return {
    contextLength,
    fallback: {
      wanted: `a context of ${say(whole)} tokens`,
      used: `${say(contextLength)} tokens`,
      reason: `${state} and holds one text of ${say(contextLength)} tokens`,
    },
  };
}

/** Largest n ≤ `most` for which `fits` holds, which it does up to some n; 0: for none. */
function mostTokens(most: number, fits: (numTokens: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

const say = (count: number) => count.toLocaleString('en-US');
const mib = (bytes: number) => say(Math.ceil((10 * bytes) / 2 ** 20) / 10);
