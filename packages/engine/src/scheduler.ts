/**
 * One queue for the passes of all sequences (continuous batching): whenever the model is free, those that wait and fit
 * share a pass. What a pass did not take of a long prompt queues again, so nobody waits for a whole one. Knows passes and
 * their order; who goes with whom is said by pass-composition. Nothing of sequences, tokens' meaning or HTTP.
 */
import { aborted, closed, EngineError } from './errors.ts';
import { type ComposePass, composePass, type PassLimits, type PassShare } from './pass-composition.ts';
import type { ForwardItem, ForwardOutput, KvCache, ModelRunner } from './runner.ts';

export interface PassResult {
  /** How many of the item's tokens were in the pass, from the first on; the output is theirs. At least one. */
  readonly numTokens: number;
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
  /** Tokens that the items' caches held before. */
  readonly numCachedTokens: number;
  readonly durationMs: number;
}

export interface SchedulerOptions {
  readonly runner: ModelRunner;
  /** maxItems: at most what the runner takes. */
  readonly limits: PassLimits;
  readonly onPass?: (pass: PassObservation) => void;
  /** Another policy, for tests. */
  readonly composePass?: ComposePass;
}

interface Job {
  readonly item: ForwardItem;
  readonly numTokens: number;
  readonly signal: AbortSignal | undefined;
  /** Of a sequence that has had a pass before. */
  readonly isReturning: boolean;
  readonly resolve: (result: PassResult) => void;
  readonly reject: (error: unknown) => void;
  readonly leaveQueue: () => void;
}

type Share = PassShare<Job>;

/** Of the last pass's time: for so long the next one waits for as many sequences as are waiting themselves. */
const WAIT_SHARE = 0.8;
const MAX_WAIT_MS = 20;
/** A shorter wait is not worth a timer. */
const MIN_WAIT_MS = 1;
/** One that has not come back after so long has ended, or its caller is held up. */
const FORGOTTEN_MS = 1000;
/** How much the last return counts in what the next one is expected to take. */
const RETURN_WEIGHT = 0.1;

export class Scheduler {
  readonly #runner: ModelRunner;
  readonly #limits: PassLimits;
  readonly #onPass: (pass: PassObservation) => void;
  readonly #composePass: ComposePass;
  #queue: Job[] = [];
  #isRunning = false;
  #isWoken = false;
  /** Sequences whose next tokens have not come yet, and when their last pass ended. */
  readonly #away = new Map<KvCache, number>();
  /** Moving mean of the time from a sequence's pass to its next tokens. */
  #returnMs = 0;
  #lastPass = { endedMs: 0, durationMs: 0 };
  #wait: NodeJS.Timeout | undefined;
  #closed: EngineError | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(options: SchedulerOptions) {
    this.#runner = options.runner;
    this.#limits = options.limits;
    this.#onPass = options.onPass ?? (() => {});
    this.#composePass = options.composePass ?? composePass;
  }

  /** Jobs that wait for the model. */
  get queueDepth(): number {
    return this.#queue.length;
  }

  /**
   * Queues for one pass over the first of the item's tokens, as many as there is room for; for the rest the caller queues
   * again. Settles only when the model no longer touches the item's cache.
   * Errors: EngineError aborted | closed, and whatever the runner throws.
   */
  submit(item: ForwardItem, signal?: AbortSignal): Promise<PassResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw this.#closed;
      if (signal?.aborted) throw aborted('the request was aborted');
      const job: Job = {
        item,
        numTokens: item.tokenIds.length,
        signal,
        isReturning: this.#noteReturn(item.cache),
        resolve,
        reject,
        leaveQueue: () => {
          this.#queue.splice(this.#queue.indexOf(job), 1);
          reject(aborted('the request was aborted'));
        },
      };
      signal?.addEventListener('abort', job.leaveQueue, { once: true });
      this.#queue.push(job);
      this.#wake();
    });
  }

  /** The cache's sequence has ended: no pass waits for it to come back. */
  forget(cache: KvCache): void {
    this.#away.delete(cache);
  }

  /** Refuses what is queued and what comes, and waits for the pass under way. */
  async close(): Promise<void> {
    this.#closed ??= closed('the engine is shutting down');
    clearTimeout(this.#wait);
    for (const job of this.#queue.splice(0)) {
      job.signal?.removeEventListener('abort', job.leaveQueue);
      job.reject(this.#closed);
    }
    if (!this.#isRunning) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /**
   * Starts a pass on the next turn of the event loop: whatever becomes ready in this one goes with it; and without waiting
   * for that turn where there is no other sequence that could.
   */
  #wake(): void {
    if (this.#isWoken || this.#isRunning || this.#queue.length === 0) return;
    clearTimeout(this.#wait);
    this.#isWoken = true;
    const isAlone = this.#queue.length === 1 && this.#queue[0]!.isReturning && this.#away.size === 0;
    (isAlone ? queueMicrotask : setImmediate)(() => {
      this.#isWoken = false;
      const waitMs = this.#waitMs();
      if (waitMs < MIN_WAIT_MS) void this.#runNext();
      else this.#wait = setTimeout(() => void this.#runNext(), waitMs);
    });
  }

  /**
   * How much longer to wait for sequences that are away. Without this two callers would take turns for ever: one comes
   * back just after the other's pass has begun.
   */
  #waitMs(): number {
    const numWaiting = this.#queue.length;
    if (numWaiting >= this.#limits.maxItems) return 0;
    const { endedMs, durationMs } = this.#lastPass;
    let numComing = 0;
    for (const passEndedMs of this.#away.values()) if (passEndedMs === endedMs) numComing++;
    // A wait costs those that wait as much as it lasts, and spares each that comes back in time a pass.
    const share = WAIT_SHARE * Math.min(1, numComing / numWaiting);
    const limitMs = Math.min(MAX_WAIT_MS, share * durationMs);
    return this.#returnMs > limitMs ? 0 : endedMs + limitMs - performance.now();
  }

  /** Whether the sequence has had a pass before. */
  #noteReturn(cache: KvCache): boolean {
    const passEndedMs = this.#away.get(cache);
    if (passEndedMs === undefined) return false;
    this.#away.delete(cache);
    this.#returnMs += RETURN_WEIGHT * (performance.now() - passEndedMs - this.#returnMs);
    return true;
  }

  async #runNext(): Promise<void> {
    const shares = this.#takePass();
    if (shares.length === 0) return;
    this.#isRunning = true;
    try {
      await this.#run(shares);
    } finally {
      this.#isRunning = false;
      this.#whenIdle?.();
      this.#wake();
    }
  }

  #takePass(): Share[] {
    const shares = this.#composePass(this.#queue, this.#limits);
    const taken = new Set(shares.map(({ job }) => job));
    for (const job of taken) job.signal?.removeEventListener('abort', job.leaveQueue);
    this.#queue = this.#queue.filter((job) => !taken.has(job));
    return shares;
  }

  async #run(shares: readonly Share[]): Promise<void> {
    const startedMs = performance.now();
    const abort = allAborted(shares);
    try {
      const items = shares.map(({ job, numTokens }) => firstTokens(job.item, numTokens));
      const batch = await this.#runner.forward(items, abort.signal);
      const durationMs = performance.now() - startedMs;
      this.#noteEnd(shares, startedMs + durationMs, durationMs);
      this.#onPass({
        numItems: shares.length,
        numTokens: shares.reduce((sum, { numTokens }) => sum + numTokens, 0),
        numCachedTokens: shares.reduce((sum, { job }) => sum + job.item.numPastTokens, 0),
        durationMs,
      });
      let numUnreleased = shares.length;
      const release = () => {
        if (--numUnreleased === 0) batch.release();
      };
      shares.forEach(({ job, numTokens }, i) => {
        if (!job.signal?.aborted) {
          job.resolve({
            numTokens,
            output: batch.outputs[i]!,
            startedMs,
            durationMs,
            release,
          });
          return;
        }
        release();
        job.reject(aborted('the request was aborted'));
      });
    } catch (error) {
      await this.#fail(shares, error);
    } finally {
      abort.stop();
    }
  }

  #noteEnd(shares: readonly Share[], endedMs: number, durationMs: number): void {
    this.#lastPass = { endedMs, durationMs };
    for (const [cache, passEndedMs] of this.#away) if (endedMs - passEndedMs > FORGOTTEN_MS) this.#away.delete(cache);
    for (const { job } of shares) if (!job.signal?.aborted) this.#away.set(job.item.cache, endedMs);
  }

  /** One item may have failed a pass of several: each is tried alone, so that only the culprit fails. */
  async #fail(shares: readonly Share[], error: unknown): Promise<void> {
    const isOver = error instanceof EngineError && (error.code === 'aborted' || error.code === 'closed');
    if (shares.length === 1 || isOver) {
      for (const { job } of shares) job.reject(error);
      return;
    }
    for (const share of shares) {
      const { job } = share;
      if (this.#closed) job.reject(this.#closed);
      else if (job.signal?.aborted) job.reject(aborted('the request was aborted'));
      else await this.#run([share]);
    }
  }
}

function firstTokens(item: ForwardItem, numTokens: number): ForwardItem {
  const { tokenIds, hiddenStates, numLogitRows } = item;
  if (numTokens === tokenIds.length) return item;
  const width = (hiddenStates?.length ?? 0) / tokenIds.length;
  return {
    ...item,
    tokenIds: tokenIds.subarray(0, numTokens),
    numLogitRows: Math.max(0, numLogitRows - (tokenIds.length - numTokens)),
    ...(hiddenStates && { hiddenStates: hiddenStates.subarray(0, numTokens * width) }),
  };
}

/** A signal that aborts when nobody wants any of the jobs any more. */
function allAborted(shares: readonly Share[]): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController();
  const check = () => {
    if (shares.every(({ job }) => job.signal?.aborted)) controller.abort();
  };
  for (const { job } of shares) job.signal?.addEventListener('abort', check);
  return {
    signal: controller.signal,
    stop: () => {
      for (const { job } of shares) job.signal?.removeEventListener('abort', check);
    },
  };
}
