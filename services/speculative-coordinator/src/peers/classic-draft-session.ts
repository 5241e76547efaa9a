/**
 * One sequence on a draft-service that serves a classic draft: a language model of its own over the same tokens. When
 * the service does not answer in time, the round goes on without it. When it lost the sequence (restart, eviction), the
 * text is cached again in the background while the target goes on alone.
 */
import { randomUUID } from 'node:crypto';
import {
  lawAt,
  type ProposeReply,
  parseProposeReply,
  proposeRequestFrame,
  type TokenPrefix,
  type WireSampling,
} from '@forerunner/protocol';
import { probOf } from '@forerunner/sampling';
import { PeerError } from '@forerunner/service-kit';
import type { DraftPeer } from './draft-peer.ts';
import type { Absence, DraftSession, Proposal, ProposeCall } from './drafting.ts';
import type { SequenceContext } from './target-sequence.ts';

export interface DraftContext extends SequenceContext {
  readonly seed: number;
  readonly minConfidence: number;
  readonly sampling: WireSampling;
}

/** More new tokens than this are cached in the background; a round does not wait for them. */
const MAX_INLINE_TOKENS = 64;

export class ClassicDraftSession implements DraftSession {
  readonly wantsHiddenStates = false;
  readonly #peer: DraftPeer;
  readonly #context: DraftContext;
  readonly #id = `d-${randomUUID()}`;
  #numCachedTokens = 0;
  /** Where the last proposal began, and how long it was. */
  #proposal = { start: 0, length: 0 };
  #warming: Promise<void> | null = null;
  #used = false;

  constructor(peer: DraftPeer, context: DraftContext) {
    this.#peer = peer;
    this.#context = context;
  }

  prefill(committed: TokenPrefix): void {
    if (this.#warming || !this.#peer.tryEnter()) return;
    this.#warming = this.#call(committed, 0, this.#peer.prefillTimeoutMs).then(
      () => {
        this.#warming = null;
      },
      () => {
        this.#warming = null;
      },
    );
  }

  async propose({ committed, numSpeculativeTokens }: ProposeCall): Promise<Proposal | Absence> {
    // The prompt is cached while the target works on it, too: waiting here keeps seeded answers reproducible.
    if (this.#warming && this.#numCachedTokens === 0) await this.#warming;
    if (this.#warming) return 'warming';
    if (committed.length - this.#numCachedTokens > MAX_INLINE_TOKENS) {
      this.prefill(committed);
      return this.#warming ? 'warming' : 'unavailable';
    }
    if (!this.#peer.tryEnter()) return 'unavailable';
    try {
      const reply = await this.#call(committed, numSpeculativeTokens, this.#peer.timeoutMs);
      const { draftTokenIds, laws } = reply;
      this.#proposal = { start: committed.length, length: draftTokenIds.length };
      if (draftTokenIds.length === 0) return 'none';
      return { draftTokenIds, draftLaws: laws ? Array.from(draftTokenIds, (_, i) => lawAt(laws, i)) : null };
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return error.code === 'context_length_exceeded' ? 'none' : 'unavailable';
    }
  }

  settle(numAcceptedTokens: number): void {
    // The service cached every proposed token but the last.
    const { start, length } = this.#proposal;
    this.#numCachedTokens = Math.min(
      this.#numCachedTokens,
      start + Math.min(numAcceptedTokens, Math.max(0, length - 1)),
    );
  }

  observe(): void {}

  async close(): Promise<void> {
    if (this.#used) await this.#peer.free(this.#id, this.#context.requestId);
  }

  /** One propose request. Reports to the peer how it went. Errors: PeerError; the signal's reason when aborted. */
  async #call(committed: TokenPrefix, numSpeculativeTokens: number, timeoutMs: number): Promise<ProposeReply> {
    this.#used = true;
    for (let attempt = 0; ; attempt++) {
      const position = Math.min(this.#numCachedTokens, committed.length - 1);
      try {
        const reply = readProposal(
          await this.#peer.client.postFrame(
            '/v1/propose',
            proposeRequestFrame({
              sequence_id: this.#id,
              position,
              prefix_digest: committed.digestAt(position),
              token_ids: committed.ids(position).slice(),
              cache_scope: this.#context.cacheScope,
              num_speculative_tokens: numSpeculativeTokens,
              sampling: this.#context.sampling,
              seed: this.#context.seed,
              min_confidence: this.#context.minConfidence,
            }),
            { requestId: this.#context.requestId, timeoutMs, signal: this.#context.signal },
          ),
        );
        this.#numCachedTokens = reply.cached_length;
        this.#peer.succeed();
        return reply;
      } catch (error) {
        if (error instanceof PeerError && error.code === 'sequence_mismatch' && attempt < 2) {
          const cachedLength = Number(error.details.cached_length);
          this.#numCachedTokens = attempt === 0 && cachedLength < committed.length ? cachedLength : 0;
          continue;
        }
        this.#numCachedTokens = 0;
        this.#peer.report(error);
        throw error;
      }
    }
  }
}

/** Parses a proposal and checks that each token can come from its law. A reply that lies is a broken peer. */
export function readProposal(bytes: Uint8Array): ProposeReply {
  try {
    const reply = parseProposeReply(bytes);
    const { laws } = reply;
    reply.draftTokenIds.forEach((id, i) => {
      if (laws && probOf(lawAt(laws, i), id) <= 0) throw new Error(`token ${id} has no probability under its own law`);
    });
    return reply;
  } catch (cause) {
    throw new PeerError(
      'unreachable',
      `the draft's reply makes no sense: ${(cause as Error).message}`,
      undefined,
      {},
      {
        cause,
      },
    );
  }
}
