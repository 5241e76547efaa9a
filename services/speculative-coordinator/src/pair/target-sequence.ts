/**
 * One sequence on the target-service, as the coordinator sees it: how much of the committed text the service holds, and
 * one call that scores whatever is new. A replica that lost the sequence says so and gets the missing tokens again; a
 * replica that is gone, or has another model now, is replaced by another one, which gets all of them. Each call names the
 * model that the answer began with: no other one ever continues it.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ScoreReply, type ScoreRequestInput, ServiceError, type TokenPrefix } from '@forerunner/protocol';
import { PeerError } from '@forerunner/service-kit';
import { nameOf } from './fit.ts';
import type { Pool } from './pool/pool.ts';
import type { Replica } from './pool/replica.ts';
import { prefixKey } from './pool/replica-order.ts';
import { callHealing, callTimeout, type SequenceContext } from './sequence-calls.ts';
import type { TargetClient } from './target-client.ts';

export type TargetReplica = Replica<TargetClient>;

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
  readonly #pool: Pool<TargetClient>;
  readonly #context: TargetContext;
  readonly #id = `t-${randomUUID()}`;
  #replica: TargetReplica | null = null;
  #numCachedTokens = 0;

  constructor(pool: Pool<TargetClient>, context: TargetContext) {
    this.#pool = pool;
    this.#context = context;
  }

  /** Where it is now; null: nowhere yet. */
  get replica(): TargetReplica | null {
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
    const { modelDigest, cacheScope } = this.#context;
    const key = () => prefixKey(call.committed, cacheScope);
    let failure: PeerError | null = null;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (attempt > 0) await this.#pause(BACKOFF_MS * 2 ** (attempt - 1));
      let hasTried = false;
      for (const replica of this.#pool.candidates(modelDigest, { current: this.#replica, key })) {
        hasTried = true;
        try {
          return await this.#scoreOn(replica, call);
        } catch (error) {
          this.#pool.report(replica, error);
          if (!(error instanceof PeerError)) throw error;
          failure = error;
          if (error.code === 'model_mismatch') await this.#pool.refreshCard(replica);
          else if (error.kind === 'refused') throw refusal(error);
        }
      }
      if (!hasTried) throw this.#noModel();
      // Waiting again is worth it for a full queue or a service that restarts, not after a deadline.
      if (failure?.kind === 'timeout') break;
    }
    if (failure?.kind === 'busy') throw new ServiceError(failure.code ?? 'overloaded', failure.message);
    throw new ServiceError('target_unavailable', `no target answers (${failure?.message})`, {}, { cause: failure });
  }

  /** Every replica is known to have another model. */
  #noModel(): ServiceError {
    const others = this.#pool.replicas.flatMap(({ card }) => (card instanceof Error ? [] : [nameOf(card)]));
    const model = this.#context.modelDigest.slice(0, 12);
    return new ServiceError(
      'target_unavailable',
      `no target has model ${model} any more; they have ${[...new Set(others)].join(', ')}`,
    );
  }

  /** Says how many of the tokens sent so far are still meant; the rest is overwritten by the next call. */
  keep(numTokens: number): void {
    this.#numCachedTokens = Math.min(this.#numCachedTokens, numTokens);
  }

  /** Frees the sequence on the service. Never fails: what is not freed now, the idle TTL frees later. */
  async close(): Promise<void> {
    if (this.#replica === null) return;
    await this.#replica.free(this.#id, this.#context.requestId);
    this.#pool.leave(this.#replica);
  }

  /** Errors: the signal's reason, for which Node's own timer would put an error of its own. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#context;
    await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  }

  async #scoreOn(replica: TargetReplica, call: ScoreCall): Promise<ScoreReply> {
    if (replica !== this.#replica) {
      this.#pool.move(this.#replica, replica);
      this.#replica = replica;
      this.#numCachedTokens = 0;
    }
    replica.tryEnter(); // whatever it says: without a target there is no answer
    const { committed } = call;
    const reply = await callHealing(this.#numCachedTokens, committed.length, (position) => {
      const tokenIds = concat(committed.ids(position), call.draftTokenIds);
      const timeoutMs = callTimeout(this.#context.timeoutMs, tokenIds.length, TOKENS_PER_TIMEOUT);
      const { signal } = this.#context;
      return replica.call({ signal, numNewTokens: tokenIds.length }, (callSignal) =>
        replica.client.score(this.#request(call, position, tokenIds), {
          ...this.#context,
          signal: callSignal,
          timeoutMs,
        }),
      );
    });
    this.#numCachedTokens = reply.cached_length;
    replica.succeed();
    return reply;
  }

  #request(call: ScoreCall, position: number, tokenIds: Int32Array): ScoreRequestInput {
    const { committed, hiddenStatesFrom } = call;
    return {
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
    };
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
