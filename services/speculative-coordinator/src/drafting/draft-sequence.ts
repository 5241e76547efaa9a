/**
 * One sequence on a draft-service: how much of its text the service holds, and one call that caches what is new and
 * proposes. A service that lost the sequence says so and gets the missing tokens again; when it fails, another one of the
 * pool gets all of them. For a draft that reads hidden states there is a second call, which asks how much of a text is
 * still cached.
 */
import { randomUUID } from 'node:crypto';
import type { ProposeReply, TokenPrefix, WireSampling } from '@forerunner/protocol';
import { PeerError } from '@forerunner/service-kit';
import type { ProposalRequest } from '../pair/draft-client.ts';
import type { DraftPool, DraftReplica } from '../pair/draft-pool.ts';
import { prefixKey } from '../pair/pool/replica-order.ts';
import { callHealing, type SequenceContext } from '../pair/sequence-calls.ts';
import type { DraftLength } from './draft-length.ts';
import type { ProposeResult } from './draft-session.ts';

export interface DraftContext extends SequenceContext {
  /** Which noise the draft draws with, and its seed. */
  readonly noise: { readonly seed: number; readonly isCoupled: boolean };
  readonly sampling: WireSampling;
}

export interface DraftCall extends DraftLength {
  /** The text as the draft knows it. */
  readonly text: TokenPrefix;
  /** Position of the text's first token in the target's. */
  readonly textStart?: number;
  readonly sampling: WireSampling;
  /** For a draft that reads hidden states: their rows from a position of the text to its end; null when they are lost. */
  readonly hiddenStatesFrom?: (position: number) => Float16Array<ArrayBuffer> | null;
}

/** Shorter texts are in no prefix cache: the draft-service keeps none of fewer tokens. */
const MIN_CACHED_TOKENS = 16;

/** How long the answer to "what do you hold?" is waited for: without it the draft is given its text anew. */
const LOOKUP_TIMEOUT_MS = 250;

export class DraftSequence {
  readonly #drafts: DraftPool;
  readonly #context: DraftContext;
  /** Where it is; null: nowhere yet. */
  #replica: DraftReplica | null = null;
  readonly #id = `d-${randomUUID()}`;
  /** Ends a call that nobody waits for any more. */
  readonly #closing = new AbortController();
  readonly #signal: AbortSignal;
  #lastCall: Promise<unknown> = Promise.resolve();
  #isFull = false;
  #numCachedTokens = 0;
  /** Where the last proposal began, and how long it was. */
  #proposal = { start: 0, length: 0 };

  constructor(drafts: DraftPool, context: DraftContext) {
    this.#drafts = drafts;
    this.#context = context;
    this.#signal = AbortSignal.any([context.signal, this.#closing.signal]);
  }

  /** The text has outgrown the draft's context: there is nothing to ask for any more. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Tokens of the text that the service holds; 0 when the next call goes to another one. */
  get numCachedTokens(): number {
    return this.#replica && this.#drafts.mayStay(this.#replica) ? this.#numCachedTokens : 0;
  }

  /**
   * Asks how many of the text's first tokens the service holds, computed from true hidden states; the sequence holds
   * them then. Whatever goes wrong, or takes long, means none. Never fails but for the caller's own abort, or `close`.
   */
  async lookUp(text: TokenPrefix): Promise<number> {
    const replica = text.length < MIN_CACHED_TOKENS ? null : this.#enter(text);
    if (!replica) return 0;
    const lookup = this.#post(
      replica,
      { ...this.#request(text, 0, this.#context.sampling), hidden_states_from: text.length },
      Math.min(LOOKUP_TIMEOUT_MS, this.#drafts.timeoutMs),
    );
    this.#lastCall = lookup.catch(() => {});
    try {
      await lookup;
      this.#drafts.succeed(replica);
      this.#numCachedTokens = text.length;
    } catch (error) {
      this.#numCachedTokens = this.#numHeldAfter(error, replica, text.length);
      if (!(error instanceof PeerError)) throw error;
    }
    return this.#numCachedTokens;
  }

  /** What a lookup that was refused says of the text, and of the service. */
  #numHeldAfter(error: unknown, replica: DraftReplica, numTokens: number): number {
    if (!(error instanceof PeerError) || error.kind === 'timeout') {
      replica.abandon(); // slow is not gone: the first proposal waits longer, and tells
      return 0;
    }
    if (error.code !== 'sequence_mismatch') {
      this.#drafts.report(replica, error);
      return 0;
    }
    this.#drafts.succeed(replica);
    const { cached_length: numHeld } = error.details;
    return typeof numHeld === 'number' && numHeld <= numTokens ? numHeld : 0;
  }

  /** Asks for a proposal. Never fails but for the caller's own abort, or `close`. */
  async propose(call: DraftCall): Promise<ProposeResult> {
    const replica = this.#enter(call.text);
    if (!replica) return { kind: 'unavailable' };
    try {
      const reply = this.#call(replica, call);
      this.#lastCall = reply.catch(() => {});
      const { draftTokenIds, distributions, timing } = await reply;
      this.#drafts.succeed(replica);
      this.#proposal = { start: call.text.length, length: draftTokenIds.length };
      if (draftTokenIds.length === 0) return { kind: 'none' };
      return {
        kind: 'proposal',
        origin: 'draft',
        draftTokenIds,
        draftDistributions: distributions ?? null,
        timing,
      };
    } catch (error) {
      this.#numCachedTokens = 0;
      this.#drafts.report(replica, error);
      if (!(error instanceof PeerError)) throw error;
      this.#isFull = error.code === 'context_length_exceeded';
      return { kind: this.#isFull ? 'none' : 'unavailable' };
    }
  }

  /** After verification: how many tokens of the last proposal were kept. The service cached all of it but the last. */
  settle(numAcceptedTokens: number): void {
    const { start, length } = this.#proposal;
    this.#numCachedTokens = Math.min(
      this.#numCachedTokens,
      start + Math.min(numAcceptedTokens, Math.max(0, length - 1)),
    );
  }

  /** Frees the sequence, after a call that may still be caching its text has ended: it would create it anew. */
  async close(): Promise<void> {
    if (!this.#replica) return;
    this.#closing.abort(new Error('the answer has ended'));
    await this.#lastCall;
    await this.#replica.free(this.#id, this.#context.requestId);
    this.#drafts.pool.leave(this.#replica);
  }

  /** The replica to ask now: its own, or another one, which holds nothing of it yet; null: none may be asked. */
  #enter(text: TokenPrefix): DraftReplica | null {
    const before = this.#replica;
    const key = () => prefixKey(text, this.#context.cacheScope);
    const replica = this.#drafts.enter({ current: before, key });
    if (!replica || replica === before) return replica;
    this.#drafts.pool.move(before, replica);
    void before?.free(this.#id, this.#context.requestId);
    this.#replica = replica;
    this.#numCachedTokens = 0;
    return replica;
  }

  /** Errors: PeerError; the signal's reason when aborted. */
  async #call(replica: DraftReplica, call: DraftCall): Promise<ProposeReply> {
    const { text, hiddenStatesFrom } = call;
    const reply = await callHealing(this.#numCachedTokens, text.length, (position) => {
      const hiddenStates = hiddenStatesFrom?.(position);
      if (hiddenStates === null) throw new PeerError('refused', 'the hidden states from there on are lost');
      const request = {
        ...this.#request(text, position, call.sampling),
        hidden_states: hiddenStates,
        num_speculative_tokens: call.numSpeculativeTokens,
        noise_offset: call.textStart ?? 0,
        min_confidence: call.minConfidence,
      };
      return this.#post(replica, request, this.#drafts.timeoutFor(text.length - position));
    });
    this.#numCachedTokens = reply.cached_length;
    return reply;
  }

  /** To cache the tokens of the text from a position on, and guess nothing. */
  #request(text: TokenPrefix, position: number, sampling: WireSampling): ProposalRequest {
    const { noise, cacheScope } = this.#context;
    return {
      sequence_id: this.#id,
      position,
      prefix_digest: text.digestAt(position),
      token_ids: text.ids(position).slice(),
      cache_scope: cacheScope,
      num_speculative_tokens: 0,
      sampling,
      seed: noise.seed,
      coupled: noise.isCoupled,
      noise_offset: 0,
      min_confidence: 0,
    };
  }

  #post(replica: DraftReplica, request: ProposalRequest, timeoutMs: number): Promise<ProposeReply> {
    const { requestId, onTraffic } = this.#context;
    const numNewTokens = request.token_ids.length;
    return replica.call({ signal: this.#signal, numNewTokens }, (signal) =>
      replica.client.propose(request, { requestId, timeoutMs, signal, onTraffic }),
    );
  }
}
