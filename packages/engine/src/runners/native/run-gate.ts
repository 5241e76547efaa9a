/**
 * One run at a time on a runner, first come, first served, with what a run needs beside its tensors: run options to cancel
 * it by. A run in flight holds a thread of libuv's pool, so file and DNS work of the process waits behind it:
 * UV_THREADPOOL_SIZE should exceed the number of runners by two or more.
 */
import { aborted, closed } from '../../errors.ts';
import type { OrtApi, Pointer } from './ort-api.ts';

export interface RunOptions {
  readonly usual: Pointer;
  /** The same, and gives the arena's memory back afterwards: it would keep what the largest prefill needed. */
  readonly large: Pointer;
}

export class RunGate {
  readonly #api: OrtApi;
  readonly #options: RunOptions;
  readonly #waiting: (() => void)[] = [];
  #isBusy = false;
  #idle: { promise: Promise<void>; resolve: () => void } | undefined;
  #closed = false;

  constructor(api: OrtApi) {
    this.#api = api;
    this.#options = { usual: api.CreateRunOptions(), large: shrinkingRunOptions(api) };
    open.add(this);
  }

  /** Runs `use` when the one before is over. Errors: EngineError aborted | closed, and `use`'s. */
  async enter<T>(signal: AbortSignal | undefined, use: (options: RunOptions) => Promise<T>): Promise<T> {
    while (this.#isBusy && !this.#closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#closed) throw closed('the runner is closed');
    if (signal?.aborted) {
      this.#waiting.shift()?.();
      throw aborted('the pass was aborted before it started');
    }
    this.#isBusy = true;
    // Thread-safe: a flag that the executor reads between two nodes.
    const terminate = () => this.terminate();
    signal?.addEventListener('abort', terminate, { once: true });
    try {
      return await use(this.#options);
    } finally {
      signal?.removeEventListener('abort', terminate);
      this.#api.RunOptionsUnsetTerminate(this.#options.usual);
      this.#api.RunOptionsUnsetTerminate(this.#options.large);
      this.#isBusy = false;
      this.#waiting.shift()?.();
      this.#idle?.resolve();
    }
  }

  /** Refuses new runs, waits for the one in flight, frees the options. */
  async close(): Promise<void> {
    if (this.#closed) return this.#idle?.promise;
    this.#closed = true;
    this.#idle = Promise.withResolvers<void>();
    for (const wake of this.#waiting.splice(0)) wake();
    if (!this.#isBusy) this.#idle.resolve();
    await this.#idle.promise;
    open.delete(this);
    this.#api.ReleaseRunOptions(this.#options.usual);
    this.#api.ReleaseRunOptions(this.#options.large);
  }

  /** Makes the run in flight return soon. */
  terminate(): void {
    if (!this.#isBusy) return;
    this.#api.RunOptionsSetTerminate(this.#options.usual);
    this.#api.RunOptionsSetTerminate(this.#options.large);
  }
}

/**
 * Passes of one token run on the arena, which a small model needs (a four-layer draft's pass: 1.35 against 1.70 ms); only
 * large passes give its memory back.
 */
function shrinkingRunOptions(api: OrtApi): Pointer {
  const options = api.CreateRunOptions();
  api.AddRunConfigEntry(options, 'memory.enable_memory_arena_shrinkage', 'cpu:0');
  return options;
}

/** Exit joins libuv's pool: without this, process.exit() waits for the longest run. */
const open = new Set<RunGate>();
process.on('exit', () => {
  for (const gate of open) gate.terminate();
});
