/** Scores the new tokens of a sequence: one pass (or a prefill's chunks), and each wanted row in the form asked for. */
import type { Engine, SequenceLease, Transfer } from '@forerunner/engine';
import { encodeReply, type ReplyOptions, samplingParams, timingOf } from '@forerunner/model-service/beside-model';
import { packDistributions, type ScoreReply, type ScoreRequest, scoreReplyFrame } from '@forerunner/protocol';
import { argmax, DistributionBuilder, numMaskWords, type TokenDistribution } from '@forerunner/sampling';

export interface ScoreCall {
  readonly request: ScoreRequest & { readonly num_rows: number };
  readonly replyOptions: ReplyOptions;
}

type Rows = Pick<ScoreReply, 'argmaxTokenIds' | 'distributions' | 'logits'>;

export class Scorer {
  readonly #engine: Engine;
  readonly #distributions: DistributionBuilder;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#distributions = new DistributionBuilder(engine.signature.vocabSize);
  }

  /** Errors: those of Engine.run; SamplingError invalid_logits. */
  async score({ request, replyOptions }: ScoreCall, signal: AbortSignal): Promise<Transfer<Uint8Array>> {
    const { token_ids: tokenIds, num_rows: numRows, include_hidden_states: wantsHiddenStates } = request;
    const { vocabSize, hiddenStatesOutput } = this.#engine.signature;
    const width = wantsHiddenStates ? hiddenStatesOutput!.width : 0;
    const end = request.position + tokenIds.length;
    const firstRow = end - numRows;
    const wantedFrom = request.hidden_states_from ?? request.position;
    // Rows and hidden states exist only where the model computed.
    const firstComputed = wantsHiddenStates && !request.prefer_reuse ? Math.min(wantedFrom, firstRow) : firstRow;
    const collector = this.#collector(request);

    const reply = await this.#engine.run(
      {
        sequenceId: request.sequence_id,
        position: request.position,
        prefixDigest: request.prefix_digest,
        scope: request.cache_scope,
        tokenIds,
        numReusable: firstComputed - request.position,
        signal,
      },
      async (lease): Promise<ScoreReply> => {
        const hiddenStatesFrom = Math.max(wantedFrom, request.position + lease.numReusedTokens);
        const hiddenStates = new Float16Array((end - hiddenStatesFrom) * width);
        await lease.append(tokenIds.subarray(lease.numReusedTokens), {
          numLogitRows: numRows,
          onLogits: (rows, first) => collector.add(rows, first, lease, firstRow),
          numHiddenStateRows: end - hiddenStatesFrom,
          onHiddenStates: wantsHiddenStates ? (rows, first) => hiddenStates.set(rows, first * width) : undefined,
        });
        return {
          sequence_id: request.sequence_id,
          cached_length: lease.length,
          vocab_size: vocabSize,
          num_reused_tokens: lease.numReusedTokens,
          timing: timingOf(replyOptions, lease.timing),
          ...collector.rows(),
          ...(wantsHiddenStates && { hiddenStates, hidden_states_from: hiddenStatesFrom }),
        };
      },
    );
    return encodeReply(scoreReplyFrame(reply), replyOptions);
  }

  #collector(request: ScoreRequest & { num_rows: number }) {
    const { rows: kind, num_rows: numRows, sampling } = request;
    const { vocabSize } = this.#engine.signature;
    const wire = samplingParams(sampling);
    const params = kind === 'argmax' ? { ...wire, temperature: 0 } : wire;
    const allowedTokensOf = maskRows(request.allowed_tokens, numMaskWords(vocabSize));
    const isPlain = wire.logitBias.size === 0 && wire.presencePenalty === 0 && wire.frequencyPenalty === 0;

    const argmaxTokenIds = kind === 'argmax' ? new Int32Array(numRows) : null;
    const distributions: TokenDistribution[] | null = kind === 'probs' ? [] : null;
    const logits = kind === 'logits' || request.include_logits ? new Float32Array(numRows * vocabSize) : null;

    return {
      /** Rows from `first` on; row i follows the token at position firstPosition + i, which penalties count, too. */
      add: (rows: Float32Array, first: number, lease: SequenceLease, firstPosition: number) => {
        logits?.set(rows, first * vocabSize);
        if (kind === 'logits') return;
        for (let i = 0; i < rows.length / vocabSize; i++) {
          const row = rows.subarray(i * vocabSize, (i + 1) * vocabSize);
          const allowedTokens = allowedTokensOf(first + i);
          if (argmaxTokenIds && isPlain && !allowedTokens) {
            argmaxTokenIds[first + i] = argmax(row);
            continue;
          }
          const soFar = lease.tokenIds(sampling.output_start, firstPosition + first + i + 1);
          const distribution = this.#distributions.distribution(row, params, soFar, allowedTokens);
          if (argmaxTokenIds) argmaxTokenIds[first + i] = distribution.tokenIds![0]!;
          else distributions!.push(distribution);
        }
      },
      rows: (): Rows => ({
        ...(argmaxTokenIds && { argmaxTokenIds }),
        ...(distributions && { distributions: packDistributions(distributions) }),
        ...(logits && { logits }),
      }),
    };
  }
}

/** The words of each row's mask; null for rows that have none. */
function maskRows(words: Int32Array | undefined, numWords: number): (row: number) => Int32Array | null {
  if (!words) return () => null;
  const numRows = words.length / numWords;
  return (row) => (row < numRows ? words.subarray(row * numWords, (row + 1) * numWords) : null);
}
