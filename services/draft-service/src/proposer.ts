/**
 * Continues a sequence by up to K tokens, one pass per token. Each is drawn from the draft's own distribution, which goes
 * back with it where the verification rule must know what the token was really drawn from.
 */
import { type Engine, type SequenceLease, sequenceMismatch, type Transfer } from '@forerunner/engine';
import { encodeReply, type ReplyOptions, samplingParams, timingOf } from '@forerunner/model-service/beside-model';
import { type ProposeReply, type ProposeRequest, packDistributions, proposeReplyFrame } from '@forerunner/protocol';
import { Sampler } from '@forerunner/sampling';
import { TokenDrawer } from './token-drawer.ts';

export interface ProposeCall {
  readonly request: ProposeRequest;
  readonly replyOptions: ReplyOptions;
}

export class Proposer {
  readonly #engine: Engine;
  readonly #sampler: Sampler;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#sampler = new Sampler(engine.signature.headSize, engine.signature.draftToTarget ?? null);
  }

  /** The reply as bytes. Errors: as `reply`. */
  async propose(call: ProposeCall, signal: AbortSignal): Promise<Transfer<Uint8Array>> {
    return encodeReply(proposeReplyFrame(await this.reply(call, signal)), call.replyOptions);
  }

  /** Errors: those of Engine.run; SamplingError invalid_logits. */
  async reply({ request, replyOptions }: ProposeCall, signal: AbortSignal): Promise<ProposeReply> {
    const { token_ids: tokenIds, num_speculative_tokens: k } = request;
    const readsHiddenStates = this.#engine.signature.hiddenStatesInput !== undefined;
    const { hidden_states_from: hiddenStatesFrom = request.position } = request;
    return this.#engine.run(
      {
        sequenceId: request.sequence_id,
        position: request.position,
        prefixDigest: request.prefix_digest,
        scope: request.cache_scope,
        tokenIds,
        // What hidden states were sent for is computed; else all but the row to draw from may be in a cache.
        numReusable: readsHiddenStates ? hiddenStatesFrom - request.position : tokenIds.length - Math.min(k, 1),
        signal,
      },
      async (lease): Promise<ProposeReply> => {
        if (readsHiddenStates && lease.length < hiddenStatesFrom) {
          const message = `hidden states were sent from position ${hiddenStatesFrom} on, ${lease.length} tokens are cached`;
          throw sequenceMismatch(message, lease.length);
        }
        const drawer = new TokenDrawer(this.#sampler, {
          params: samplingParams(request.sampling),
          seed: request.seed,
          isCoupled: request.coupled,
          noiseOffset: request.noise_offset,
          minConfidence: request.min_confidence,
          outputStart: request.sampling.output_start,
        });
        await this.#extend(lease, request, drawer);
        const { draftTokenIds, distributions } = drawer;
        return {
          sequence_id: request.sequence_id,
          cached_length: lease.length,
          vocab_size: this.#engine.signature.vocabSize,
          num_reused_tokens: lease.numReusedTokens,
          timing: timingOf(replyOptions, lease.timing),
          draftTokenIds: Int32Array.from(draftTokenIds),
          ...(distributions && { distributions: packDistributions(distributions) }),
        };
      },
    );
  }

  /** One pass over the request's tokens, then one for each drafted token but the last. */
  async #extend(lease: SequenceLease, request: ProposeRequest, drawer: TokenDrawer): Promise<void> {
    const k = request.num_speculative_tokens;
    const width = this.#engine.signature.hiddenStatesInput?.width ?? 0;
    let hiddenStates = request.hidden_states && Float32Array.from(request.hidden_states); // [numTokens, width]
    let tokenIds = request.token_ids.subarray(lease.numReusedTokens);
    for (let isShareable = true; ; isShareable = width === 0) {
      let estimate: Float32Array<ArrayBuffer> | undefined; // the draft's own guess of the target's next hidden state
      await lease.append(tokenIds, {
        numLogitRows: Math.min(k, 1),
        hiddenStates,
        isShareable, // what follows from an estimate is not what others would compute
        onLogits: (row) => drawer.draw(row, lease),
        onHiddenStates:
          k > 1 && width > 0
            ? (rows) => {
                estimate = rows.slice(rows.length - width);
              }
            : undefined,
      });
      const { draftTokenIds } = drawer;
      if (draftTokenIds.length >= k || drawer.hasLostConfidence || lease.numFreeTokens === 0) return;
      tokenIds = Int32Array.of(draftTokenIds.at(-1)!);
      hiddenStates = estimate;
    }
  }
}
