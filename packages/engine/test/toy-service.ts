/** A service for the tests of hosts. */
import { EngineError } from '../src/errors.ts';
import type { EngineLog } from '../src/log.ts';
import { type Service, Transfer } from '../src/rpc/service.ts';

const methods = {
  double: ({ values }: { values: Int32Array }) => {
    const doubled = values.map((value) => 2 * value);
    return new Transfer(doubled, [doubled.buffer]);
  },
  refuse: () => {
    throw new EngineError('sequence_mismatch', 'not that', { cached_length: 7 });
  },
  fail: () => {
    throw new TypeError('a defect');
  },
  waitForAbort: (_: null, signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new EngineError('aborted', 'given up')));
    }),
  wait: (ms: number) => new Promise<string>((resolve) => setTimeout(() => resolve('waited'), ms)),
  crash: () => {
    setImmediate(() => {
      throw new Error('crashed');
    });
    return new Promise<never>(() => {});
  },
  exit: () => process.exit(3),
};
export type ToyMethods = typeof methods;

export async function openToyService(startup: unknown, log: EngineLog): Promise<Service> {
  if (startup === 'refuse to start') throw new EngineError('model_not_found', 'no model there');
  if (startup === 'die at start') process.exit(5);
  log('info', 'starting', { with: startup });
  return { methods, info: { pid: process.pid }, close: async () => log('warn', 'closed', {}) };
}
