/**
 * One replica of a pool: its client, the card that it last showed, what works on it, and whether new work should go
 * there. Knows nothing of the others: who is compared with whom, and who is preferred, is the pool's.
 */
import type { ModelCard, Timing } from '@forerunner/protocol';
import { PeerError } from '@forerunner/service-kit';
import { Breaker } from './breaker.ts';
import { CallRecord } from './call-record.ts';
import type { ReplicaRecord } from './outliers.ts';
import { slowStartWeight } from './replica-order.ts';

/** What a pool needs of the client of a replica. */
export interface ReplicaClient {
  /** Where it is, for people. */
  readonly url: string;
  /** What it serves, or why nobody knows. Never fails. */
  card(): Promise<ModelCard | Error>;
  /** Frees a sequence. Errors: PeerError. */
  free(sequenceId: string, requestId: string): Promise<void>;
  close(): Promise<void>;
}

/** Whether new work goes there, and why not. */
export const REPLICA_STATES = ['serving', 'failing', 'ejected', 'refused', 'leaving'] as const;
export type ReplicaState = (typeof REPLICA_STATES)[number];

/** So many looks at the card in a row without an answer, and nothing else heard: it is silent. */
const MISSES_UNTIL_SILENT = 2;
/** The first ejection of an outlier; each further one is twice as long. */
const FIRST_EJECTION_MS = 5_000;
const LONGEST_EJECTION_MS = 60_000;
/** An outlier that behaved for so long has a clean record. */
const FORGIVEN_AFTER_MS = 300_000;
/** A call with more new tokens reads a prompt: how long that is on its way says nothing of others. */
const MAX_COMPARED_TOKENS = 64;

export class Replica<C extends ReplicaClient = ReplicaClient> {
  readonly name: string;
  readonly client: C;
  /** It is no member any more: what works on it may end there. */
  isLeaving = false;
  readonly #now: () => number;
  readonly #breaker: Breaker;
  readonly #record: CallRecord;
  readonly #callsUnderWay = new Set<AbortController>();
  #card: ModelCard | Error = new Error('it has not answered yet');
  #refusal: string | null = null;
  #numRunning = 0;
  #numMisses = 0;
  /** Since when it serves. */
  #sinceMs: number;
  #numEjections = 0;
  #ejectedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(name: string, client: C, now: () => number) {
    this.name = name;
    this.client = client;
    this.#now = now;
    this.#breaker = new Breaker({ firstPauseMs: 250, longestPauseMs: 10_000, now });
    this.#record = new CallRecord(now);
    this.#sinceMs = now();
  }

  /** What it last said of itself; why not, when it never did or is silent. */
  get card(): ModelCard | Error {
    return this.#card;
  }

  /** Why its model may not serve in this pool; null: it may, as far as is known. */
  get refusal(): string | null {
    return this.#refusal;
  }

  setRefusal(reason: string | null): void {
    this.#refusal = reason;
  }

  /** Answers that it works on. */
  get numRunning(): number {
    return this.#numRunning;
  }

  /** Its share of the load beside others: less than 1 while it starts slowly. */
  get weight(): number {
    return slowStartWeight(this.#now() - this.#sinceMs);
  }

  /** Failed last time it was asked. */
  get isDegraded(): boolean {
    return this.#breaker.isDegraded;
  }

  /** Not even its card comes, and nothing else. */
  get isSilent(): boolean {
    return this.#numMisses >= MISSES_UNTIL_SILENT;
  }

  /** What works on it may move: it fails, or says nothing. */
  get isFailing(): boolean {
    return this.#breaker.isOpen || this.isSilent;
  }

  /** New work should go elsewhere. */
  get isOut(): boolean {
    return this.isLeaving || this.#refusal !== null || this.#isSuspect || this.#isEjected;
  }

  get state(): ReplicaState {
    if (this.isLeaving) return 'leaving';
    if (this.#refusal !== null) return 'refused';
    if (this.#isSuspect) return 'failing';
    return this.#isEjected ? 'ejected' : 'serving';
  }

  /** For comparison with others. */
  get record(): ReplicaRecord {
    const passCosts = this.#card instanceof Error ? null : this.#card.pass_costs;
    return { ...this.#record.read(), passCosts, isOut: this.isOut };
  }

  get #isSuspect(): boolean {
    return this.isFailing || this.#numMisses > 0 || this.#card instanceof Error;
  }

  get #isEjected(): boolean {
    return this.#now() < this.#ejectedUntilMs;
  }

  async refreshCard(): Promise<void> {
    const card = await this.client.card();
    const wasAway = this.#numMisses > 0;
    if (card instanceof Error) {
      this.#numMisses++;
      if (this.isSilent || this.#card instanceof Error) this.#card = card;
      return;
    }
    this.#card = card;
    this.#numMisses = 0;
    if (!wasAway) return;
    this.#breaker.endPause();
    this.#record.clear();
    this.#sinceMs = this.#now();
  }

  /** An answer begins to work on it. */
  enter(): void {
    this.#numRunning++;
  }

  /** It works there no more. */
  leave(): void {
    this.#numRunning--;
  }

  /** May it be asked now? Whoever gets true must end with exactly one of `succeed`, `report` and `abandon`. */
  tryEnter(): boolean {
    return this.#breaker.tryEnter();
  }

  /** It did what it was asked. */
  succeed(): void {
    this.#breaker.succeed();
    if (this.#card instanceof Error) return;
    this.#numMisses = 0; // too busy to show its card, but alive
  }

  /** An attempt that says nothing about the replica. */
  abandon(): void {
    this.#breaker.abandon();
  }

  /** What an attempt that failed says about the replica. True: it is the first failure after a success. */
  report(error: unknown): boolean {
    if (!(error instanceof PeerError) || error.kind === 'refused' || error.kind === 'busy') {
      this.abandon();
      return false;
    }
    const isNew = !this.isDegraded;
    this.#breaker.fail();
    this.#record.addFailure();
    return isNew;
  }

  /**
   * Makes a call that ends when the caller's signal says so, or when the replica is given up. Errors: those of `make`; PeerError
   * timeout, when it is given up; the signal's reason.
   */
  async call<T extends { readonly timing: Timing }>(
    { signal, numNewTokens }: { readonly signal: AbortSignal; readonly numNewTokens: number },
    make: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const own = new AbortController();
    const abort = () => own.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.#callsUnderWay.add(own);
    const startMs = performance.now();
    try {
      const reply = await make(own.signal);
      const tripMs = performance.now() - startMs - reply.timing.total_ms;
      this.#record.addAnswer(numNewTokens > MAX_COMPARED_TOKENS ? null : tripMs);
      return reply;
    } finally {
      this.#callsUnderWay.delete(own);
      signal.removeEventListener('abort', abort);
    }
  }

  /** Calls that wait for it fail now: others are quicker. */
  giveUpCalls(): void {
    const reason = new PeerError('timeout', `${this.name} does not answer any more`);
    for (const call of this.#callsUnderWay) call.abort(reason);
  }

  /** New work goes elsewhere for a while, and slowly comes back. Returns for how long, milliseconds. */
  eject(): number {
    const now = this.#now();
    if (now - this.#ejectedUntilMs > FORGIVEN_AFTER_MS) this.#numEjections = 0;
    const ms = Math.min(FIRST_EJECTION_MS * 2 ** this.#numEjections++, LONGEST_EJECTION_MS);
    this.#ejectedUntilMs = now + ms;
    this.#sinceMs = this.#ejectedUntilMs;
    this.#record.clear();
    return ms;
  }

  /** Frees a sequence. Never fails: what is not freed now, the idle TTL frees later. */
  async free(sequenceId: string, requestId: string): Promise<void> {
    if (this.isFailing) return;
    await this.client.free(sequenceId, requestId).catch(() => {});
  }
}
