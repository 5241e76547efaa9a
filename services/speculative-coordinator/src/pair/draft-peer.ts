/** The draft as all requests share it: its client, its card, and whether it may be asked now. */
import type { ModelCard } from '@forerunner/protocol';
import { type Logger, PeerError } from '@forerunner/service-kit';
import { Breaker } from './breaker.ts';
import type { DraftClient } from './draft-client.ts';
import { callTimeout } from './sequence-calls.ts';

export interface DraftPeerOptions {
  readonly client: DraftClient;
  /** How long a proposal may take. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** A call that caches new tokens may take one timeout longer for every this many of them. */
const TOKENS_PER_TIMEOUT = 256;

export class DraftPeer {
  readonly client: DraftClient;
  readonly timeoutMs: number;
  readonly #breaker = new Breaker({ firstPauseMs: 250, longestPauseMs: 10_000 });
  readonly #logger: Logger;
  #card: ModelCard | null = null;
  #unavailableSinceMs: number | null = performance.now();
  #unavailableMs = 0;

  constructor(options: DraftPeerOptions) {
    this.client = options.client;
    this.timeoutMs = options.timeoutMs;
    this.#logger = options.logger;
  }

  /** The card of a draft that fits the target; null while none is known. */
  get card(): ModelCard | null {
    return this.#card;
  }

  /** A draft that fits, or null: the one that answers now does not, or nobody has answered yet. */
  setCard(card: ModelCard | null): void {
    this.#card = card;
    this.#noteAvailability();
  }

  /** Answered when it was last asked. */
  get isAvailable(): boolean {
    return this.#card !== null && !this.#breaker.isDegraded;
  }

  /** All time without an available draft, milliseconds. */
  get unavailableMs(): number {
    const since = this.#unavailableSinceMs;
    return this.#unavailableMs + (since === null ? 0 : performance.now() - since);
  }

  /** It answers again after it did not: no need to wait out the pause. */
  noteReturn(): void {
    this.#breaker.endPause();
  }

  /** Deadline of a call that caches this many new tokens, milliseconds. */
  timeoutFor(numNewTokens: number): number {
    return callTimeout(this.timeoutMs, numNewTokens, TOKENS_PER_TIMEOUT);
  }

  /** Whoever gets true must end with exactly one of `succeed`, `report` and `abandon`. */
  tryEnter(): boolean {
    return this.#card !== null && this.#breaker.tryEnter();
  }

  succeed(): void {
    if (this.#breaker.isDegraded) this.#logger.info({ draft: this.client.url }, 'draft is back');
    this.#breaker.succeed();
    this.#noteAvailability();
  }

  /** An attempt that says nothing about the service. */
  abandon(): void {
    this.#breaker.abandon();
  }

  /** What an attempt that failed says about the service. */
  report(error: unknown): void {
    if (!(error instanceof PeerError) || error.kind === 'refused' || error.kind === 'busy') {
      this.abandon();
      return;
    }
    if (!this.#breaker.isDegraded) {
      this.#logger.warn(
        { draft: this.client.url, reason: error.message },
        'draft lost: going on with the target alone',
      );
    }
    this.#breaker.fail();
    this.#noteAvailability();
  }

  /** Frees a sequence. Never fails: what is not freed now, the idle TTL frees later. */
  async free(sequenceId: string, requestId: string): Promise<void> {
    if (!this.isAvailable) return;
    await this.client.free(sequenceId, requestId).catch(() => {});
  }

  #noteAvailability(): void {
    if (this.isAvailable) {
      this.#unavailableMs = this.unavailableMs;
      this.#unavailableSinceMs = null;
    } else {
      this.#unavailableSinceMs ??= performance.now();
    }
  }
}
