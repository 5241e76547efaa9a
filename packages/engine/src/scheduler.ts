/**
 * One queue for the passes of all sequences (continuous batching): whenever the model is free, whatever waits and fits
 * together goes in one pass. Long prompts come in chunks, each of which queues again, so nobody waits for a whole one.
 * Knows passes and their order; nothing of sequences, tokens' meaning or HTTP.
 */
import { EngineError } from './errors.ts';
import type { ForwardBatch, ForwardItem, ForwardOutput, ModelRunner } from './runner.ts';

export interface PassResult {
  readonly output: ForwardOutput;
  /** performance.now() when the pass began. */
  readonly startedMs: number;
  readonly durationMs: number;
  /** Gives the output's buffers back. To be called exactly once. */
  release(): void;
}

export interface PassObservation {
  readonly numItems: number;
  /** New tokens of all items. */
  readonly numTokens: number;
  readonly durationMs: number;
}

export interface SchedulerOptions {
  readonly runner: ModelRunner;
  readonly maxBatchItems: number;
  readonly onPass?: (pass: PassObservation) => void;
}

interface Job {
  readonly item: ForwardItem;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: PassResult) => void;
  readonly reject: (error: unknown) => void;
  readonly leaveQueue: () => void;
}

export class Scheduler {
  readonly #runner: ModelRunner;
  readonly #maxBatchItems: number;
  readonly #onPass: (pass: PassObservation) => void;
  #queue: Job[] = [];
  #isRunning = false;
  #isWoken = false;
  #closed: EngineError | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(options: SchedulerOptions) {
    this.#runner = options.runner;
    this.#maxBatchItems = options.maxBatchItems;
    this.#onPass = options.onPass ?? (() => {});
  }

  /** Passes that wait for the model. */
  get queueDepth(): number {
    return this.#queue.length;
  }

  /**
   * Queues one pass. Settles only when the model no longer touches the item's cache.
   * Errors: EngineError aborted, and whatever the runner throws.
   */
  submit(item: ForwardItem, signal?: AbortSignal): Promise<PassResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw this.#closed;
      if (signal?.aborted) throw aborted();
      const job: Job = {
        item,
        signal,
        resolve,
        reject,
        leaveQueue: () => {
          this.#queue.splice(this.#queue.indexOf(job), 1);
          reject(aborted());
        },
      };
      signal?.addEventListener('abort', job.leaveQueue, { once: true });
      this.#queue.push(job);
      this.#wake();
    });
  }

  /** Refuses what is queued and what comes, and waits for the pass under way. */
  async close(): Promise<void> {
    this.#closed ??= new EngineError('closed', 'the engine is shutting down');
    for (const job of this.#queue.splice(0)) {
      job.signal?.removeEventListener('abort', job.leaveQueue);
      job.reject(this.#closed);
    }
    if (!this.#isRunning) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /** Starts a pass on the next turn of the event loop: whatever becomes ready in this one goes with it. */
  #wake(): void {
    if (this.#isWoken || this.#isRunning || this.#queue.length === 0) return;
    this.#isWoken = true;
    setImmediate(() => {
      this.#isWoken = false;
      void this.#runNext();
    });
  }

  async #runNext(): Promise<void> {
    const jobs = this.#takeBatch();
    if (jobs.length === 0) return;
    this.#isRunning = true;
    const startedMs = performance.now();
    const abort = allAborted(jobs);
    try {
      const batch = await this.#runner.forward(
        jobs.map((job) => job.item),
        abort.signal,
      );
      const durationMs = performance.now() - startedMs;
      this.#onPass({
        numItems: jobs.length,
        numTokens: jobs.reduce((sum, job) => sum + job.item.tokenIds.length, 0),
        durationMs,
      });
      handOut(jobs, batch, startedMs, durationMs);
    } catch (error) {
      for (const job of jobs) job.reject(error);
    } finally {
      abort.stop();
      this.#isRunning = false;
      this.#whenIdle?.();
      this.#wake();
    }
  }

  /** The job that waits longest, and those behind it that fit into one pass with it. */
  #takeBatch(): Job[] {
    const taken: Job[] = [];
    this.#queue = this.#queue.filter((job) => {
      const fits =
        taken.length < Math.min(this.#maxBatchItems, this.#runner.maxSequences);
      if (!fits) return true;
      job.signal?.removeEventListener('abort', job.leaveQueue);
      taken.push(job);
      return false;
    });
    return taken;
  }
}

function handOut(jobs: readonly Job[], batch: ForwardBatch, startedMs: number, durationMs: number): void {
  let numUnreleased = jobs.length;
  const release = () => {
    if (--numUnreleased === 0) batch.release();
  };
  jobs.forEach((job, i) => {
    if (job.signal?.aborted) {
      release();
      job.reject(aborted());
      return;
    }
    job.resolve({ output: batch.outputs[i]!, startedMs, durationMs, release });
  });
}

/** A signal that aborts when nobody wants any of the jobs any more. */
function allAborted(jobs: readonly Job[]): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  const check = () => {
    if (jobs.every((job) => job.signal?.aborted)) controller.abort();
  };
  for (const job of jobs) job.signal?.addEventListener('abort', check);
  return {
    signal: controller.signal,
    stop: () => {
      for (const job of jobs) job.signal?.removeEventListener('abort', check);
    },
  };
}

function aborted(): EngineError {
  return new EngineError('aborted', 'the request was aborted');
}
