/**
 * One sequence on the target-service, as the coordinator sees it: how much of the committed text the service holds, and
 * one call that scores whatever is new. A replica that lost the sequence says so and gets the missing tokens again; a
 * replica that is gone, or has another model now, is replaced by another one, which gets all of them. Each call names the
 * model that the answer began with: no other one ever continues it.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  parseScoreReply,
  type ScoreReply,
  type ScoreRequestInput,
  ServiceError,
  scoreRequestFrame,
  type TokenPrefix,
} from '@forerunner/protocol';
import { PeerError } from '@forerunner/service-kit';
import { nameOf } from './fit.ts';
import { prefixKey } from './replica-order.ts';
import { callHealing, callTimeout, type SequenceContext } from './sequence-calls.ts';
import type { TargetReplicas } from './target-replicas.ts';

/** Rounds over all replicas, with pauses of 50, 100, 200 and 400 ms between them. */
const MAX_ATTEMPTS = 5;
const BACKOFF_MS = 50;

/** A call may take one timeout longer for every this many tokens that the target is sent: a prompt takes many passes. */
const TOKENS_PER_TIMEOUT = 1024;

export interface ScoreCall {
  readonly committed: TokenPrefix;
  readonly draftTokenIds: Int32Array; // [k]
  /** What is wanted of the rows of the last tokens. */
  readonly wanted: Pick<ScoreRequestInput, 'rows' | 'seed' | 'verification' | 'draftDistributions'>;
  readonly numRows: number;
  readonly sampling: NonNullable<ScoreRequestInput['sampling']>;
  /** Masks of the first rows, as the protocol has them. */
  readonly allowedTokens?: Int32Array | undefined;
  /** Log probabilities beside each token of the reply; null: none. */
  readonly numTopLogprobs?: number | null;
  /** Hidden states are wanted from this position on, or from the first new token, if that is later. */
  readonly hiddenStatesFrom?: number | undefined;
  /** They may begin later, where the target has a text cached. */
  readonly prefersReuse?: boolean | undefined;
}

export interface TargetContext extends SequenceContext {
  /** How long a call with few tokens may take. */
  readonly timeoutMs: number;
  /** The one model that may score, as its card names it. */
  readonly modelDigest: string;
}

export class TargetSequence {
  readonly #replicas: TargetReplicas;
  readonly #context: TargetContext;
  readonly #id = `t-${randomUUID()}`;
  #replica: number | null = null;
  #numCachedTokens = 0;

  constructor(replicas: TargetReplicas, context: TargetContext) {
    this.#replicas = replicas;
    this.#context = context;
  }

  /** Where it is now; null: nowhere yet. */
  get replica(): number | null {
    return this.#replica;
  }

  /** Tokens that the service holds and the coordinator still means. */
  get numCachedTokens(): number {
    return this.#numCachedTokens;
  }

  /**
   * One pass over what is new. Errors: ServiceError target_unavailable, overloaded, kv_budget_exceeded; the signal's
   * reason when aborted.
   */
  async score(call: ScoreCall): Promise<ScoreReply> {
    let failure: PeerError | null = null;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const candidates = this.#candidates(call.committed);
      if (attempt > 0) await this.#pause(BACKOFF_MS * 2 ** (attempt - 1));
      for (const replica of candidates) {
        try {
          return await this.#scoreOn(replica, call);
        } catch (error) {
          if (!(error instanceof PeerError)) throw error;
          failure = error;
          if (error.code === 'model_mismatch') await this.#replicas.refreshCard(replica);
          else if (error.kind === 'refused') throw refusal(error);
          else if (error.kind !== 'busy') this.#replicas.reportFailure(replica);
        }
      }
      // Waiting again is worth it for a full queue or a service that restarts, not after a deadline.
      if (failure?.kind === 'timeout') break;
    }
    if (failure?.kind === 'busy') throw new ServiceError(failure.code ?? 'overloaded', failure.message);
    throw new ServiceError('target_unavailable', `no target answers (${failure?.message})`, {}, { cause: failure });
  }

  /** Errors: target_unavailable when every replica is known to have another model. */
  #candidates(text: TokenPrefix): number[] {
    const { modelDigest, cacheScope } = this.#context;
    const key = prefixKey(text, cacheScope);
    const candidates = this.#replicas.candidates(modelDigest, { current: this.#replica, key });
    if (candidates.length > 0) return candidates;
    const others = this.#replicas.cards.flatMap((card) => (card instanceof Error ? [] : [nameOf(card)]));
    throw new ServiceError(
      'target_unavailable',
      `no target has model ${modelDigest.slice(0, 12)} any more; they have ${[...new Set(others)].join(', ')}`,
    );
  }

  /** Says how many of the tokens sent so far are still meant; the rest is overwritten by the next call. */
  keep(numTokens: number): void {
    this.#numCachedTokens = Math.min(this.#numCachedTokens, numTokens);
  }

  /** Frees the sequence on the service. Never fails: what is not freed now, the idle TTL frees later. */
  async close(): Promise<void> {
    if (this.#replica === null) return;
    this.#replicas.leave(this.#replica);
    const { requestId } = this.#context;
    const path = `/v1/sequences/${this.#id}`;
    await this.#replicas
      .client(this.#replica)
      .delete(path, { requestId, timeoutMs: 2000 })
      .catch(() => {});
  }

  /** Errors: the signal's reason, for which Node's own timer would put an error of its own. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#context;
    await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  }

  #moveTo(replica: number): void {
    if (this.#replica !== null) this.#replicas.leave(this.#replica);
    this.#replicas.enter(replica);
    this.#replica = replica;
    this.#numCachedTokens = 0;
  }

  async #scoreOn(replica: number, call: ScoreCall): Promise<ScoreReply> {
    const client = this.#replicas.client(replica);
    if (replica !== this.#replica) this.#moveTo(replica);
    const { committed, hiddenStatesFrom } = call;
    const bytes = await callHealing(this.#numCachedTokens, committed.length, (position) => {
      const tokenIds = concat(committed.ids(position), call.draftTokenIds);
      const timeoutMs = callTimeout(this.#context.timeoutMs, tokenIds.length, TOKENS_PER_TIMEOUT);
      return client.postFrame(
        '/v1/score',
        scoreRequestFrame({
          sequence_id: this.#id,
          position,
          prefix_digest: committed.digestAt(position),
          token_ids: tokenIds,
          cache_scope: this.#context.cacheScope,
          model_digest: this.#context.modelDigest,
          ...call.wanted,
          num_rows: call.numRows,
          sampling: call.sampling,
          allowed_tokens: call.allowedTokens,
          ...(call.numTopLogprobs != null && { num_top_logprobs: call.numTopLogprobs }),
          include_hidden_states: hiddenStatesFrom !== undefined,
          ...(hiddenStatesFrom !== undefined && {
            hidden_states_from: Math.max(position, hiddenStatesFrom),
            prefer_reuse: call.prefersReuse ?? false,
          }),
        }),
        { ...this.#context, timeoutMs },
      );
    });
    const reply = parseScoreReply(bytes);
    this.#numCachedTokens = reply.cached_length;
    this.#replicas.reportSuccess(replica);
    return reply;
  }
}

/** A refusal of the target as our client should see it: its fault, or ours. */
function refusal(error: PeerError): ServiceError {
  const code = error.code;
  if (code === 'context_length_exceeded' || code === 'token_out_of_range' || code === 'unsupported_value') {
    return new ServiceError(code, error.message, error.details);
  }
  return new ServiceError('internal_error', 'the target refused a request of the coordinator', {}, { cause: error });
}

function concat(a: Int32Array, b: Int32Array): Int32Array {
  const both = new Int32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
