/**
 * What a score makes of the target's rows: one reader for each kind of `rows`. Each row comes once, in order, with the
 * text before it, and goes through the one sampler; readers know neither sequences nor passes.
 */
import type { LogprobRows, ScoreReply, ScoreRequest } from '@forerunner/protocol';
import { distributionAt, numDistributionRows, packDistributions, readDistributionRows } from '@forerunner/protocol';
import {
  CoupledNoise,
  logprobOf,
  type Sampler,
  type SamplingParams,
  seededVerdict,
  type TextSoFar,
  type TokenDistribution,
  topLogprobs,
} from '@forerunner/sampling';

type Rows = Pick<
  ScoreReply,
  | 'argmaxTokenIds'
  | 'sampledTokenIds'
  | 'distributions'
  | 'logits'
  | 'logprobs'
  | 'num_accepted_tokens'
  | 'next_token_id'
>;

export interface RowReader {
  /**
   * `logits` [vocabSize] of the token that follows `text`, and `unmasked` as the model gave them, which are the same
   * array where every token is allowed; valid during the call. Errors: SamplingError.
   */
  add(logits: Float32Array, text: TextSoFar, unmasked: Float32Array): void;
  /** After the last row. `text` is the whole text. Errors: SamplingError. */
  rows(text: TextSoFar): Rows;
}

export interface RowReaderOptions {
  readonly request: ScoreRequest & { readonly num_rows: number };
  readonly sampler: Sampler;
  readonly params: SamplingParams;
  readonly vocabSize: number;
}

export function openRowReader(options: RowReaderOptions): RowReader {
  switch (options.request.rows) {
    case 'argmax':
    case 'samples':
      return new TokenReader(options);
    case 'verdict':
      return new VerdictReader(options);
    case 'probs':
      return new DistributionReader(options);
    case 'logits':
      return new LogitReader(options);
  }
}

/** The target's own token for each row; of samples none behind the first that is not the one that was sent. */
class TokenReader implements RowReader {
  readonly #options: RowReaderOptions;
  readonly #tokenIds: number[] = [];
  readonly #logprobs: LogprobCollector;
  #hasLeftText = false;

  constructor(options: RowReaderOptions) {
    this.#options = options;
    this.#logprobs = new LogprobCollector(options.request.num_top_logprobs);
  }

  add(logits: Float32Array, text: TextSoFar, unmasked: Float32Array): void {
    if (this.#hasLeftText) return;
    const tokenId = this.#tokenOf(logits, text);
    this.#tokenIds.push(tokenId);
    this.#logprobs.add(unmasked, tokenId);
    const { rows, token_ids: sent, num_rows: numRows } = this.#options.request;
    this.#hasLeftText = rows === 'samples' && tokenId !== sent[sent.length - numRows + this.#tokenIds.length];
  }

  rows(): Rows {
    const tokenIds = Int32Array.from(this.#tokenIds);
    const name = this.#options.request.rows === 'samples' ? 'sampledTokenIds' : 'argmaxTokenIds';
    return { [name]: tokenIds, ...this.#logprobs.rows() };
  }

  #tokenOf(logits: Float32Array, text: TextSoFar): number {
    const { request, sampler, params } = this.#options;
    if (request.rows === 'argmax') return sampler.likeliest(logits, params, text);
    return sampler.drawCoupled(logits, params, text, new CoupledNoise(request.seed, text.tokenIds.length));
  }
}

class DistributionReader implements RowReader {
  readonly #options: RowReaderOptions;
  readonly #distributions: TokenDistribution[] = [];

  constructor(options: RowReaderOptions) {
    this.#options = options;
  }

  add(logits: Float32Array, text: TextSoFar): void {
    const { sampler, params } = this.#options;
    this.#distributions.push(sampler.distribution(logits, params, text));
  }

  rows(): Rows {
    return { distributions: packDistributions(this.#distributions) };
  }
}

/** The model's own rows, whole. */
class LogitReader implements RowReader {
  readonly #rows: KeptRows;

  constructor(options: RowReaderOptions) {
    this.#rows = new KeptRows(options);
  }

  add(_logits: Float32Array, _text: TextSoFar, unmasked: Float32Array): void {
    this.#rows.add(unmasked);
  }

  rows(): Rows {
    return { logits: this.#rows.logits };
  }
}

class KeptRows {
  readonly #vocabSize: number;
  readonly logits: Float32Array; // [numRows, vocabSize]
  #numRows = 0;

  constructor({ request, vocabSize }: RowReaderOptions) {
    this.#vocabSize = vocabSize;
    this.logits = new Float32Array(request.num_rows * vocabSize);
  }

  add(logits: Float32Array): void {
    this.logits.set(logits, this.#numRows++ * this.#vocabSize);
  }

  row(index: number): Float32Array {
    return this.logits.subarray(index * this.#vocabSize, (index + 1) * this.#vocabSize);
  }
}

/**
 * Judges the guesses by the rule that the request names. Rows become distributions only as far as the rule looks: at
 * rejection none behind the first refusal.
 */
class VerdictReader implements RowReader {
  readonly #options: RowReaderOptions;
  readonly #rows: KeptRows;
  /** For log probabilities: the rows without their masks. */
  readonly #unmasked: KeptRows;

  constructor(options: RowReaderOptions) {
    const { allowed_tokens: masks, num_top_logprobs: numTopLogprobs } = options.request;
    this.#options = options;
    this.#rows = new KeptRows(options);
    this.#unmasked = masks && numTopLogprobs !== undefined ? new KeptRows(options) : this.#rows;
  }

  add(logits: Float32Array, _text: TextSoFar, unmasked: Float32Array): void {
    this.#rows.add(logits);
    if (this.#unmasked !== this.#rows) this.#unmasked.add(unmasked);
  }

  rows({ tokenIds, outputStart }: TextSoFar): Rows {
    const { request, sampler, params, vocabSize } = this.#options;
    const k = request.num_rows - 1;
    const text = Int32Array.from(tokenIds);
    const first = text.length - k; // position of the first guess
    const verdict = seededVerdict(request.verification!, {
      seed: request.seed,
      position: first,
      draftTokenIds: text.subarray(first),
      draftDistributions: draftDistributionsOf(request, vocabSize),
      targetDistribution: (i) =>
        sampler.distribution(this.#rows.row(i), params, { tokenIds: text.subarray(0, first + i), outputStart }),
    });
    const nextTokenId = verdict.bonusTokenId ?? verdict.recoveredTokenId;
    const logprobs = new LogprobCollector(request.num_top_logprobs);
    for (let i = 0; i <= verdict.numAcceptedTokens; i++) {
      logprobs.add(this.#unmasked.row(i), i < verdict.numAcceptedTokens ? text[first + i]! : nextTokenId);
    }
    return { num_accepted_tokens: verdict.numAcceptedTokens, next_token_id: nextTokenId, ...logprobs.rows() };
  }
}

/** The distributions that a verdict's guesses came from; none where each is certain. Errors: ServiceError malformed_frame. */
export function draftDistributionsOf(
  request: Pick<ScoreRequest, 'prob_offsets' | 'prob_token_ids' | 'probs'>,
  vocabSize: number,
): TokenDistribution[] {
  if (!request.prob_offsets) return [];
  const rows = readDistributionRows(request, vocabSize);
  return Array.from({ length: numDistributionRows(rows) }, (_, i) => distributionAt(rows, i));
}

class LogprobCollector {
  readonly #numTop: number | undefined;
  readonly #logprobs: number[] = [];
  readonly #topTokenIds: number[] = [];
  readonly #topLogprobs: number[] = [];

  constructor(numTop: number | undefined) {
    this.#numTop = numTop;
  }

  add(logits: Float32Array, tokenId: number): void {
    if (this.#numTop === undefined) return;
    this.#logprobs.push(logprobOf(logits, tokenId));
    if (this.#numTop === 0) return;
    for (const { tokenId: id, logprob } of topLogprobs(logits, this.#numTop)) {
      this.#topTokenIds.push(id);
      this.#topLogprobs.push(logprob);
    }
  }

  rows(): { logprobs?: LogprobRows } {
    if (this.#numTop === undefined) return {};
    return {
      logprobs: {
        logprobs: Float32Array.from(this.#logprobs),
        topTokenIds: Int32Array.from(this.#topTokenIds),
        topLogprobs: Float32Array.from(this.#topLogprobs),
      },
    };
  }
}
