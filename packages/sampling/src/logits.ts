/** What is done to a row of logits before it becomes a distribution, and the log probabilities that clients ask for. */
import { SamplingError } from './errors.ts';
import { expNegative } from './exp.ts';
import { argmax, selectTop } from './rank.ts';
import type { SamplingParams, TextSoFar } from './types.ts';

type Adjustments = Pick<
  SamplingParams,
  'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty' | 'logitBias' | 'suppressTokens'
>;

/** Whether `adjustLogits` would do anything. */
export function changesLogits(params: Adjustments, { tokenIds, outputStart }: TextSoFar): boolean {
  if (params.logitBias.size > 0 || params.suppressTokens.length > 0) return true;
  if (params.repetitionPenalty !== 1 && tokenIds.length > 0) return true;
  return tokenIds.length > outputStart && (params.presencePenalty !== 0 || params.frequencyPenalty !== 0);
}

/**
 * In place, in this order, each in float32: adds the bias of the named tokens; the repetition penalty, for the tokens of the
 * whole text; presence and frequency penalties, for those of the output (count · frequencyPenalty + presencePenalty);
 * -Infinity for suppressed tokens.
 *
 * `rowOf` maps a token id to its place in a row of a reduced vocabulary, -1 where it has none. Ids without a place are
 * passed over. `counts` is scratch of the row's length; it must hold zeros and does so again afterwards.
 */
export function adjustLogits(
  logits: Float32Array,
  params: Adjustments,
  { tokenIds, outputStart }: TextSoFar,
  {
    rowOf = null,
    counts = new Int32Array(logits.length),
  }: { readonly rowOf?: Int32Array | null; readonly counts?: Int32Array } = {},
): void {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, suppressTokens } = params;
  const placeOf = (tokenId: number): number => {
    const place = rowOf ? (rowOf[tokenId] ?? -1) : tokenId;
    return place < logits.length ? place : -1;
  };
  const forEachToken = (start: number, change: (place: number, count: number) => void): void => {
    for (let i = start; i < tokenIds.length; i++) {
      const place = placeOf(tokenIds[i]!);
      if (place >= 0) counts[place]!++;
    }
    for (let i = start; i < tokenIds.length; i++) {
      const place = placeOf(tokenIds[i]!);
      const count = place >= 0 ? counts[place]! : 0;
      if (count === 0) continue;
      change(place, count);
      counts[place] = 0;
    }
  };
  for (const [tokenId, bias] of logitBias) {
    const place = placeOf(tokenId);
    if (place >= 0) logits[place]! += bias;
  }
  if (repetitionPenalty !== 1) {
    forEachToken(0, (place) => {
      const logit = logits[place]!;
      logits[place] = logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty;
    });
  }
  if (presencePenalty !== 0 || frequencyPenalty !== 0) {
    forEachToken(outputStart, (place, count) => {
      logits[place]! -= count * frequencyPenalty + presencePenalty;
    });
  }
  for (const tokenId of suppressTokens) {
    const place = placeOf(tokenId);
    if (place >= 0) logits[place] = Number.NEGATIVE_INFINITY;
  }
}

/** Words of an allowed-token mask over a vocabulary: one bit per token id, 32 ids a word, the lowest id in the lowest bit. */
export const numMaskWords = (vocabSize: number): number => Math.ceil(vocabSize / 32);

/** Sets the logits of tokens whose bit in `allowed` [numMaskWords] is 0 to -Infinity, in place. */
export function applyAllowedTokens(logits: Float32Array, allowed: Int32Array): void {
  for (let word = 0; word < allowed.length; word++) {
    const bits = allowed[word]!;
    if (bits === -1) continue;
    const start = word * 32;
    const end = Math.min(start + 32, logits.length);
    if (bits === 0) logits.fill(-Infinity, start, end);
    else for (let i = start; i < end; i++) if (((bits >>> (i - start)) & 1) === 0) logits[i] = -Infinity;
  }
}

/** ln Σ exp(logit), so that a token's log probability is its logit less this. Errors: invalid_logits. */
export function logSumExp(logits: Float32Array): number {
  const max = logits[argmax(logits)]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += expNegative(logits[i]! - max);
  return max + Math.log(sum);
}

/** Of one token, at temperature 1, before any filter. Errors: invalid_logits. */
export function logprobOf(logits: Float32Array, tokenId: number): number {
  return logits[tokenId]! - logSumExp(logits);
}

export interface TokenLogprob {
  readonly tokenId: number;
  /** Natural logarithm of the probability at temperature 1, before any filter. */
  readonly logprob: number;
}

/** The n likeliest tokens, likeliest first (the lower id among equals). Errors: invalid_logits, invalid_argument. */
export function topLogprobs(logits: Float32Array, n: number): TokenLogprob[] {
  if (!(Number.isInteger(n) && n >= 0)) {
    throw new SamplingError('invalid_argument', `the number of log probabilities must be a whole number, got ${n}`);
  }
  const logTotal = logSumExp(logits);
  if (n === 0) return [];
  const order = new Int32Array(Math.min(n, logits.length));
  const ranked = order.subarray(0, selectTop(logits, order.length, order));
  ranked.sort((a, b) => logits[b]! - logits[a]! || a - b);
  return Array.from(ranked, (tokenId) => ({ tokenId, logprob: logits[tokenId]! - logTotal }));
}
