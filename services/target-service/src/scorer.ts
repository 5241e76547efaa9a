/** Scores the new tokens of a sequence: one pass (or a prefill's chunks), and each wanted row in the hands of the reader that was asked for. */
import type { Engine, SequenceLease, Transfer } from '@forerunner/engine';
import { encodeReply, type ReplyOptions, samplingParams, timingOf } from '@forerunner/model-service/beside-model';
import { type ScoreReply, type ScoreRequest, scoreReplyFrame } from '@forerunner/protocol';
import { applyAllowedTokens, numMaskWords, Sampler, type TextSoFar } from '@forerunner/sampling';
import { openRowReader } from './row-readers.ts';

export interface ScoreCall {
  readonly request: ScoreRequest & { readonly num_rows: number };
  readonly replyOptions: ReplyOptions;
}

export class Scorer {
  readonly #engine: Engine;
  readonly #sampler: Sampler;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#sampler = new Sampler(engine.signature.vocabSize);
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
    const params = samplingParams(request.sampling);
    const reader = openRowReader({ request, sampler: this.#sampler, params, vocabSize });
    const masked = maskedBy(request.allowed_tokens, vocabSize);
    const outputStart = request.sampling.output_start;
    const textUpTo = (lease: SequenceLease, length: number): TextSoFar => ({
      tokenIds: lease.tokenIds(0, length),
      outputStart,
    });

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
          // Row i follows the token at position firstRow + i, which penalties count, too.
          onLogits: (rows, first) => {
            for (let i = 0; i < rows.length / vocabSize; i++) {
              const row = rows.subarray(i * vocabSize, (i + 1) * vocabSize);
              reader.add(masked(row, first + i), textUpTo(lease, firstRow + first + i + 1), row);
            }
          },
          numHiddenStateRows: end - hiddenStatesFrom,
          onHiddenStates: wantsHiddenStates ? (rows, first) => hiddenStates.set(rows, first * width) : undefined,
        });
        return {
          sequence_id: request.sequence_id,
          cached_length: lease.length,
          vocab_size: vocabSize,
          num_reused_tokens: lease.numReusedTokens,
          timing: timingOf(replyOptions, lease.timing),
          ...reader.rows(textUpTo(lease, end)),
          ...(wantsHiddenStates && { hiddenStates, hidden_states_from: hiddenStatesFrom }),
        };
      },
    );
    return encodeReply(scoreReplyFrame(reply), replyOptions);
  }
}

/** The logits of a row with the tokens that its mask leaves out at -Infinity, in memory that the next row takes over. */
function maskedBy(
  words: Int32Array | undefined,
  vocabSize: number,
): (logits: Float32Array, row: number) => Float32Array {
  if (!words) return (logits) => logits;
  const numWords = numMaskWords(vocabSize);
  const masked = new Float32Array(vocabSize);
  return (logits, row) => {
    const allowed = words.subarray(row * numWords, (row + 1) * numWords);
    if (allowed.length === 0) return logits; // rows beyond the masks are free
    masked.set(logits);
    applyAllowedTokens(masked, allowed);
    return masked;
  };
}
