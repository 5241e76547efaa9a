/** A sequence in the hands of one request: append tokens and look at their rows, or take tokens back. */
import { sequenceMismatch } from './errors.ts';
import { requireContext } from './limits.ts';
import type { Scheduler } from './scheduler.ts';
import type { Sequence, SequenceStore } from './sequences.ts';

export interface AppendOptions {
  /** Number of tokens, from the end, whose logits are wanted. */
  readonly numLogitRows?: number;
  /** Called in order with all wanted rows, in one or several parts. `rows` is valid during the call only. */
  readonly onLogits?: (rows: Float32Array, firstRow: number) => void; // [n, headSize]
  /** Input of a feature draft. */
  readonly hiddenStates?: Float32Array | undefined; // [numTokens, hiddenStatesWidth]
  /** Number of tokens, from the end, whose hidden states are wanted; default: all. */
  readonly numHiddenStateRows?: number;
  /** As onLogits. */
  readonly onHiddenStates?: ((rows: Float32Array, firstRow: number) => void) | undefined; // [n, width]
  /** The tokens' keys and values follow from the text alone: other texts may take them over. Default: true. */
  readonly isShareable?: boolean;
}

interface LeaseOptions {
  readonly sequence: Sequence;
  readonly numReusedTokens: number;
  readonly requestedMs: number;
  readonly signal: AbortSignal | undefined;
  readonly store: SequenceStore;
  readonly scheduler: Scheduler;
  readonly contextLength: number;
  readonly hiddenStatesWidth: number;
}

export class SequenceLease {
  /** New tokens of the request that a cache already held: the first ones, which need not be appended. */
  readonly numReusedTokens: number;
  readonly #options: LeaseOptions;
  #firstPassMs: number | undefined;
  #modelMs = 0;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.numReusedTokens = options.numReusedTokens;
  }

  /** Tokens that are cached now. */
  get length(): number {
    return this.#options.sequence.prefix.length;
  }

  /** Tokens that may still be appended. */
  get numFreeTokens(): number {
    return this.#options.contextLength - this.length;
  }

  /** Waiting before the first pass, and the time of the passes so far. */
  get timing(): { queueMs: number; modelMs: number } {
    const { requestedMs } = this.#options;
    return { queueMs: (this.#firstPassMs ?? performance.now()) - requestedMs, modelMs: this.#modelMs };
  }

  /** Cached tokens: a view, valid until the next append. */
  tokenIds(start: number, end: number): Int32Array {
    return this.#options.sequence.prefix.ids(start, end);
  }

  /**
   * Caches `tokenIds`, a long text in several passes. What the passes before a failure cached stays.
   * Errors: EngineError context_overflow | out_of_memory | aborted | closed | model_failed | sequence_mismatch (the
   * sequence was freed meanwhile).
   */
  async append(tokenIds: Int32Array, options: AppendOptions = {}): Promise<void> {
    const { sequence, store, contextLength } = this.#options;
    const numTokens = this.length + tokenIds.length;
    requireContext(numTokens, contextLength);
    store.reserve(sequence, numTokens);
    for (let start = 0; start < tokenIds.length; ) {
      if (store.isDeleted(sequence)) {
        throw sequenceMismatch('the sequence was freed during the request', 0);
      }
      start += await this.#appendSome(tokenIds, start, options);
    }
  }

  /** Takes tokens back, so that `length` remain. */
  rollbackTo(length: number): void {
    this.#options.sequence.prefix.truncate(length);
  }

  /** One pass over tokens from `start` on: how many it took. */
  async #appendSome(tokenIds: Int32Array, start: number, options: AppendOptions): Promise<number> {
    const { sequence, scheduler, signal, hiddenStatesWidth } = this.#options;
    const { numLogitRows = 0, hiddenStates, onLogits, onHiddenStates, isShareable } = options;
    const { numHiddenStateRows = tokenIds.length } = options;
    const rest = tokenIds.subarray(start);
    const pass = await scheduler.submit(
      {
        cache: sequence.cache,
        numPastTokens: sequence.prefix.length,
        tokenIds: rest,
        numLogitRows: Math.min(numLogitRows, rest.length),
        ...(hiddenStates && { hiddenStates: hiddenStates.subarray(start * hiddenStatesWidth) }),
        ...(onHiddenStates && { wantHiddenStates: true }),
      },
      signal,
    );
    try {
      const { numTokens, output } = pass;
      sequence.prefix.append(rest.subarray(0, numTokens), isShareable);
      this.#firstPassMs ??= pass.startedMs;
      this.#modelMs += pass.durationMs;
      const end = start + numTokens;
      const firstLogits = tokenIds.length - numLogitRows;
      if (end > firstLogits) onLogits?.(output.logits, Math.max(0, start - firstLogits));
      const firstHidden = tokenIds.length - numHiddenStateRows;
      if (output.hiddenStates && end > firstHidden) {
        const numUnwanted = Math.max(0, firstHidden - start);
        const width = output.hiddenStates.length / numTokens;
        onHiddenStates?.(output.hiddenStates.subarray(numUnwanted * width), Math.max(0, start - firstHidden));
      }
      return numTokens;
    } finally {
      pass.release();
    }
  }
}
