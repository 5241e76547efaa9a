/** The drafts as all requests share them: which of them is asked for a text, and whether any may be asked now. */
import type { ModelCard } from '@forerunner/protocol';
import type { Logger } from '@forerunner/service-kit';
import type { DraftClient } from './draft-client.ts';
import type { Choice, Pool } from './pool/pool.ts';
import type { Replica } from './pool/replica.ts';
import { callTimeout } from './sequence-calls.ts';

export type DraftReplica = Replica<DraftClient>;

export interface DraftPoolOptions {
  readonly pool: Pool<DraftClient>;
  /** How long a proposal may take. */
  readonly timeoutMs: number;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** A call that caches new tokens may take one timeout longer for every this many of them. */
const TOKENS_PER_TIMEOUT = 256;

export class DraftPool {
  readonly pool: Pool<DraftClient>;
  readonly timeoutMs: number;
  readonly #logger: DraftPoolOptions['logger'];
  #card: ModelCard | null = null;
  #unavailableSinceMs: number | null = performance.now();
  #unavailableMs = 0;

  constructor({ pool, timeoutMs, logger }: DraftPoolOptions) {
    this.pool = pool;
    this.timeoutMs = timeoutMs;
    this.#logger = logger;
  }

  /** The card of the drafts that fit the target; null while none is known. Drafts that are briefly away keep it. */
  get card(): ModelCard | null {
    return this.#card;
  }

  /** After the pool decided which model it serves. */
  noteServed(): void {
    const { served } = this.pool;
    if ('card' in served) this.#card = served.card;
    else if (served.isMisfit) this.#card = null;
    this.#noteAvailability();
  }

  /** One of them answered when it was last asked. */
  get isAvailable(): boolean {
    return this.pool.replicas.some((replica) => this.#fits(replica) && !replica.isDegraded && !replica.isSilent);
  }

  /** All time without an available draft, milliseconds. */
  get unavailableMs(): number {
    const since = this.#unavailableSinceMs;
    return this.#unavailableMs + (since === null ? 0 : performance.now() - since);
  }

  /** Deadline of a call that caches this many new tokens, milliseconds. */
  timeoutFor(numNewTokens: number): number {
    return callTimeout(this.timeoutMs, numNewTokens, TOKENS_PER_TIMEOUT);
  }

  /** A text that is at a replica may stay there. */
  mayStay(replica: DraftReplica): boolean {
    return this.#fits(replica) && !replica.isFailing;
  }

  /** The replica to ask now; null: none may be. Whoever gets one must end with one of `succeed`, `report` and `abandon`. */
  enter(choice: Choice<DraftClient>): DraftReplica | null {
    if (this.#card === null) return null;
    for (const replica of this.pool.candidates(this.#card.model_digest, choice)) {
      if (this.#fits(replica) && !replica.isSilent && replica.tryEnter()) return replica;
    }
    return null;
  }

  succeed(replica: DraftReplica): void {
    replica.succeed();
    this.#noteAvailability();
  }

  /** What an attempt that failed says about a replica. */
  report(replica: DraftReplica, error: unknown): void {
    this.pool.report(replica, error);
    this.#noteAvailability();
  }

  /** Its card is known and is that of the drafts that are used. */
  #fits({ card, refusal }: DraftReplica): boolean {
    return refusal === null && !(card instanceof Error) && card.model_digest === this.#card?.model_digest;
  }

  #noteAvailability(): void {
    const { isAvailable } = this;
    const wasAvailable = this.#unavailableSinceMs === null;
    if (isAvailable === wasAvailable) return;
    if (isAvailable) {
      this.#unavailableMs = this.unavailableMs;
      this.#unavailableSinceMs = null;
      this.#logger.info('drafting is on');
    } else {
      this.#unavailableSinceMs = performance.now();
      this.#logger.warn('no draft answers: going on with the target alone');
    }
  }
}
