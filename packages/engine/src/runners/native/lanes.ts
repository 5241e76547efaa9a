/**
 * Bounds how many runs are in flight. A lane is the right to run, with what a run needs besides its sequence: run
 * options to cancel by, and buffers for the small inputs. Every run in flight holds a thread of libuv's pool, so file
 * and DNS work of the process waits behind them: UV_THREADPOOL_SIZE should exceed the lanes of all runners together
 * by two or more.
 */
import { aborted, closed } from '../../errors.ts';
import type { OrtApi, Pointer } from './ort-api.ts';

export interface Lane {
  readonly runOptions: Pointer;
  /** The same, and gives the arena's memory back afterwards: it would keep what the largest prefill needed. */
  readonly largeRunOptions: Pointer;
  tokenIds: BigInt64Array;
  positions: BigInt64Array;
  /** Where each sequence's new rows go: what it holds already. */
  readonly writeIndices: BigInt64Array; // [batch]
  hiddenStates: Float32Array;
  /** Number of head rows, a scalar input. */
  readonly numHeadRows: BigInt64Array; // [1]
}

export class Lanes {
  readonly #api: OrtApi;
  readonly #free: Lane[];
  readonly #all: readonly Lane[];
  readonly #waiting: (() => void)[] = [];
  #idle: { promise: Promise<void>; resolve: () => void } | undefined;
  #closed = false;

  constructor(api: OrtApi, numLanes: number, maxBatchItems: number) {
    this.#api = api;
    this.#all = Array.from({ length: numLanes }, () => ({
      runOptions: api.CreateRunOptions(),
      largeRunOptions: shrinkingRunOptions(api),
      tokenIds: new BigInt64Array(16),
      positions: new BigInt64Array(16),
      writeIndices: new BigInt64Array(maxBatchItems),
      hiddenStates: new Float32Array(0),
      numHeadRows: new BigInt64Array(1),
    }));
    this.#free = [...this.#all];
    inFlight.add(this);
  }

  /** First come, first served. Runs `use` on a lane of its own. Errors: EngineError aborted | closed, and `use`'s. */
  async withLane<T>(signal: AbortSignal | undefined, use: (lane: Lane) => Promise<T>): Promise<T> {
    while (this.#free.length === 0 && !this.#closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#closed) throw closed('the runner is closed');
    if (signal?.aborted) {
      this.#waiting.shift()?.();
      throw aborted('the pass was aborted before it started');
    }
    const lane = this.#free.pop()!;
    // Thread-safe: a flag that the executor reads between two nodes.
    const terminate = () => this.#terminate(lane);
    signal?.addEventListener('abort', terminate, { once: true });
    try {
      return await use(lane);
    } finally {
      signal?.removeEventListener('abort', terminate);
      this.#api.RunOptionsUnsetTerminate(lane.runOptions);
      this.#api.RunOptionsUnsetTerminate(lane.largeRunOptions);
      this.#free.push(lane);
      this.#waiting.shift()?.();
      if (this.#free.length === this.#all.length) this.#idle?.resolve();
    }
  }

  /** Refuses new runs, waits for those in flight, frees the lanes. */
  async close(): Promise<void> {
    if (this.#closed) return this.#idle?.promise;
    this.#closed = true;
    this.#idle = Promise.withResolvers<void>();
    for (const wake of this.#waiting.splice(0)) wake();
    if (this.#free.length === this.#all.length) this.#idle.resolve();
    await this.#idle.promise;
    inFlight.delete(this);
    for (const lane of this.#all) {
      this.#api.ReleaseRunOptions(lane.runOptions);
      this.#api.ReleaseRunOptions(lane.largeRunOptions);
    }
  }

  /** For the end of the process only: makes runs in flight return soon. */
  terminateAll(): void {
    for (const lane of this.#all) {
      if (!this.#free.includes(lane)) this.#terminate(lane);
    }
  }

  #terminate(lane: Lane): void {
    this.#api.RunOptionsSetTerminate(lane.runOptions);
    this.#api.RunOptionsSetTerminate(lane.largeRunOptions);
  }
}

/**
 * Passes of one token run on the arena, which a small model needs (a four-layer draft's step: 1.35 against 1.70 ms); only
 * large passes give its memory back.
 */
function shrinkingRunOptions(api: OrtApi): Pointer {
  const options = api.CreateRunOptions();
  api.AddRunConfigEntry(options, 'memory.enable_memory_arena_shrinkage', 'cpu:0');
  return options;
}

/** Exit joins libuv's pool: without this, process.exit() waits for the longest run. */
const inFlight = new Set<Lanes>();
process.on('exit', () => {
  for (const lanes of inFlight) lanes.terminateAll();
});
