/** Writes an answer's receipt down while its rounds go by. Knows tokens and decisions, no text; nothing is checked here. */
import {
  distributionAt,
  type ModelCard,
  RECEIPT_FORMAT,
  type Receipt,
  type ReceiptRound,
  tokenIdsSha256,
  type VerificationRuleName,
} from '@forerunner/protocol';
import { probOf } from '@forerunner/sampling';
import type { AnswerParams } from './answer-params.ts';
import type { Output } from './output.ts';
import type { RoundRecord } from './round.ts';

interface EndedAnswer {
  readonly target: ModelCard;
  /** null: there is none, or none answers. */
  readonly draft: ModelCard | null;
  readonly seed: number;
  /** The rule that decided. */
  readonly verification: VerificationRuleName;
  readonly output: Output;
}

/** A round as JSON has it: what stands at its default is left out. */
type WrittenRound = Partial<ReceiptRound> & Pick<ReceiptRound, 'next_token_id'>;

export class ReceiptRecorder {
  readonly #params: AnswerParams;
  readonly #stopTokenIds: readonly number[];
  readonly #rounds: WrittenRound[] = [];

  /** `stopTokenIds`: all that end the answer. */
  constructor(params: AnswerParams, stopTokenIds: readonly number[]) {
    this.#params = params;
    this.#stopTokenIds = stopTokenIds;
  }

  /** The same rounds, each written down before anybody looks at it. */
  async *recorded(rounds: AsyncIterable<RoundRecord>): AsyncGenerator<RoundRecord> {
    for await (const round of rounds) {
      this.#rounds.push(written(round));
      yield round;
    }
  }

  /** After the last round. */
  receipt({ target, draft, seed, verification, output }: EndedAnswer): Receipt {
    const { promptTokenIds, sampling, maxNewTokens, minNewTokens, stop, grammar } = this.#params;
    return {
      format: RECEIPT_FORMAT,
      target: {
        model_id: target.model_id,
        model_digest: target.model_digest,
        tokenizer_fingerprint: target.tokenizer_fingerprint,
        numeric_regime: target.numeric_regime,
        runtime: target.runtime,
        runtime_version: target.runtime_version,
        execution_provider: target.execution_provider,
      },
      draft: draft && { model_id: draft.model_id, model_digest: draft.model_digest },
      prompt: {
        num_tokens: promptTokenIds.length,
        sha256: tokenIdsSha256(promptTokenIds),
        token_ids: [...promptTokenIds],
      },
      sampling,
      seed,
      verification,
      max_new_tokens: maxNewTokens,
      min_tokens: minNewTokens ?? 0,
      stop: [...stop],
      stop_token_ids: [...this.#stopTokenIds],
      structured: grammar !== undefined,
      rounds: this.#rounds as ReceiptRound[], // a reader fills the defaults in
      num_output_tokens: output.tokenIds.length,
      finish_reason: output.finishReason!,
    };
  }
}

function written({
  origin,
  guesses,
  numAcceptedTokens,
  numAcceptedForcedTokens,
  nextTokenId,
}: RoundRecord): WrittenRound {
  const { tokenIds, distributions } = guesses;
  if (tokenIds.length === 0) return { next_token_id: nextTokenId };
  return {
    source: origin!,
    draft_token_ids: [...tokenIds],
    ...(distributions && {
      draft_probs: Array.from(tokenIds, (tokenId, i) => probOf(distributionAt(distributions, i), tokenId)),
    }),
    num_accepted_tokens: numAcceptedTokens + numAcceptedForcedTokens,
    next_token_id: nextTokenId,
  };
}
