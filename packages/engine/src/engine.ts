/**
 * Sequences of tokens on one model: the cache, the queue and the runner behind one call. Knows tokens and rows of
 * logits; knows no HTTP, no text and no sampling. Everything runs on the thread that opened it.
 */
import { setInterval } from 'node:timers';
import type { PassCosts } from '@forerunner/protocol';
import type { AcquireRequest } from './acquire-request.ts';
import { contextWithin } from './context-within.ts';
import { overloaded } from './errors.ts';
import { type Fallback, warnOf } from './fallback.ts';
import { requireContext, requireTokenIds } from './limits.ts';
import type { EngineLog } from './log.ts';
import { PassCostMeter } from './pass-cost-meter.ts';
import { type NumericRegime, probeNumericRegime } from './regime-probe.ts';
import type { KvCache, ModelRunner, RunnerDescription } from './runner.ts';
import { type OpenRunnerOptions, openRunner } from './runners/open-runner.ts';
import { type PassObservation, Scheduler } from './scheduler.ts';
import { SequenceLease } from './sequence-lease.ts';
import { type EvictionReason, SequenceStore } from './sequences.ts';
import type { GraphSignature } from './signature.ts';

export interface EngineOptions {
  readonly minRows: number;
  /** Most sequences of one pass that the operator wants (BATCH_SIZE); Engine.maxBatchItems is what there is. */
  readonly maxBatchItems: number;
  /** Most tokens of all sequences of one pass. */
  readonly maxPassTokens: number;
  readonly kvBudgetBytes: number;
  /** An idle sequence is freed after so long. */
  readonly idleTtlMs: number;
  /** See SequenceStoreOptions.sharesPrefixes (PREFIX_CACHE). */
  readonly sharesPrefixes: boolean;
  /** Most tokens of one sequence in one pass; a longer prompt queues again for the rest. */
  readonly prefillChunkTokens: number;
  /** Requests under way or waiting beyond which new ones are refused. */
  readonly maxRequests: number;
  readonly log?: EngineLog;
}

export interface EngineStats {
  readonly numSequences: number;
  readonly numCachedPrefixes: number;
  /** Of sequences and cached prefixes. */
  readonly kvBytes: number;
  /** Of cached prefixes: what memory can be had by evicting no sequence. */
  readonly cachedPrefixBytes: number;
  readonly kvBudgetBytes: number;
  /** Tokens of new texts, and those of them that a cache held already. */
  readonly prefixCacheTokens: Readonly<Record<'queries' | 'hits', number>>;
  readonly queueDepth: number;
  readonly numRequests: number;
  readonly numEvictions: Readonly<Record<EvictionReason, number>>;
  /** Passes since the last time that the statistics were taken. */
  readonly passes: readonly PassObservation[];
  readonly passCosts: PassCosts;
}

/** Passes are kept for whoever takes the statistics; where nobody does, the oldest are forgotten. */
const MAX_KEPT_PASSES = 65_536;

export class Engine {
  readonly signature: GraphSignature;
  readonly description: RunnerDescription;
  readonly numericRegime: NumericRegime;
  readonly fallbacks: readonly Fallback[];
  /** Most tokens of a sequence (contextWithin). */
  readonly contextLength: number;
  /** Most sequences of one pass. */
  readonly maxBatchItems: number;
  readonly #runner: ModelRunner;
  readonly #options: EngineOptions;
  readonly #sequences: SequenceStore;
  readonly #scheduler: Scheduler;
  readonly #sweep: NodeJS.Timeout;
  readonly #passCosts: PassCostMeter;
  #passes: PassObservation[] = [];
  #numRequests = 0;

  /** Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable | runtime_unavailable. */
  static async open(options: EngineOptions & Omit<OpenRunnerOptions, 'onFallback'>): Promise<Engine> {
    const fallbacks: Fallback[] = [];
    const onFallback = (fallback: Fallback) => {
      fallbacks.push(fallback);
      if (options.log) warnOf(options.log, fallback);
    };
    return Engine.on(await openRunner({ ...options, onFallback }), options, fallbacks);
  }

  /** An engine on a runner that it closes in the end. Runs the first passes, so that the first request finds it warm. */
  static async on(runner: ModelRunner, options: EngineOptions, fallbacks: readonly Fallback[] = []): Promise<Engine> {
    try {
      const { contextLength, fallback } = contextWithin(runner, options);
      if (fallback && options.log) warnOf(options.log, fallback);
      const { numericRegime, numProbedTokens } = await probeNumericRegime(runner, { contextLength });
      options.log?.('info', 'numeric regime', { numericRegime, numProbedTokens });
      const passCosts = await PassCostMeter.measure(runner);
      const all = [...fallbacks, ...(fallback ? [fallback] : [])];
      return new Engine(runner, options, { contextLength, numericRegime, passCosts }, all);
    } catch (error) {
      await runner.close();
      throw error;
    }
  }

  private constructor(
    runner: ModelRunner,
    options: EngineOptions,
    measured: {
      readonly contextLength: number;
      readonly numericRegime: NumericRegime;
      readonly passCosts: PassCostMeter;
    },
    fallbacks: readonly Fallback[],
  ) {
    this.fallbacks = fallbacks;
    this.#runner = runner;
    this.#options = options;
    this.numericRegime = measured.numericRegime;
    this.#passCosts = measured.passCosts;
    this.signature = runner.signature;
    this.description = runner.description;
    this.contextLength = measured.contextLength;
    this.maxBatchItems = Math.min(options.maxBatchItems, runner.maxSequences);
    const { kvBudgetBytes: budgetBytes, idleTtlMs, sharesPrefixes } = options;
    const onEnd = (cache: KvCache) => this.#scheduler.forget(cache);
    this.#sequences = new SequenceStore({ runner, budgetBytes, idleTtlMs, sharesPrefixes, onEnd });
    this.#scheduler = new Scheduler({
      runner,
      limits: {
        maxItems: this.maxBatchItems,
        maxTokens: options.maxPassTokens,
        chunkTokens: options.prefillChunkTokens,
      },
      onPass: (pass) => this.#note(pass),
    });
    this.#sweep = setInterval(() => this.#sequences.evictExpired(), Math.max(100, idleTtlMs / 8)).unref();
  }

  /**
   * Runs `use` with the sequence at `position`, one request at a time per sequence, later ones in order. The lease is
   * valid until `use` settles. Tokens appended by then stay cached, also when `use` fails.
   * Errors: EngineError token_out_of_range | context_overflow | sequence_mismatch | out_of_memory | overloaded |
   * aborted | closed | model_failed, and whatever `use` throws.
   */
  async run<T>(request: AcquireRequest, use: (lease: SequenceLease) => Promise<T>): Promise<T> {
    const requestedMs = performance.now();
    requireContext(request.position + request.tokenIds.length, this.contextLength);
    requireTokenIds(request.tokenIds, this.signature.vocabSize);
    if (this.#numRequests >= this.#options.maxRequests) {
      throw overloaded(this.#numRequests);
    }
    this.#numRequests++;
    try {
      const { sequence, numReusedTokens } = await this.#sequences.acquire(request);
      try {
        const lease = new SequenceLease({
          sequence,
          numReusedTokens,
          requestedMs,
          signal: request.signal,
          store: this.#sequences,
          scheduler: this.#scheduler,
          contextLength: this.contextLength,
          hiddenStatesWidth: this.signature.hiddenStatesInput?.width ?? 0,
        });
        return await use(lease);
      } finally {
        this.#sequences.release(sequence);
      }
    } finally {
      this.#numRequests--;
    }
  }

  /** Ends a sequence; one in use ends after the pass under way. What it held may stay as a cached prefix. Idempotent. */
  freeSequence(sequenceId: string): void {
    this.#sequences.delete(sequenceId);
  }

  /** As they are now. */
  get passCosts(): PassCosts {
    return this.#passCosts.costs;
  }

  takeStats(): EngineStats {
    const passes = this.#passes;
    this.#passes = [];
    return {
      numSequences: this.#sequences.numSequences,
      numCachedPrefixes: this.#sequences.cachedPrefixes.count,
      kvBytes: this.#sequences.kvBytes,
      cachedPrefixBytes: this.#sequences.cachedPrefixes.bytes,
      kvBudgetBytes: this.#options.kvBudgetBytes,
      queueDepth: this.#scheduler.queueDepth,
      numRequests: this.#numRequests,
      prefixCacheTokens: { ...this.#sequences.prefixCacheTokens },
      numEvictions: { ...this.#sequences.numEvictions },
      passes,
      passCosts: this.passCosts,
    };
  }

  /** Refuses what waits, lets the pass under way end, frees everything. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await this.#scheduler.close();
    this.#sequences.close();
    await this.#runner.close();
  }

  #note(pass: PassObservation): void {
    this.#passCosts.observe(pass);
    if (this.#passes.length >= MAX_KEPT_PASSES) this.#passes.splice(0, MAX_KEPT_PASSES / 2);
    this.#passes.push(pass);
  }
}
