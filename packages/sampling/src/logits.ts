/** What is done to a row of logits before it becomes a distribution, and the log probabilities that clients ask for. */
import { SamplingError } from './errors.ts';
import { expNegative } from './exp.ts';
import { argmax, selectTop } from './rank.ts';
import type { SamplingParams } from './types.ts';

/**
 * Adds the bias of the named tokens, and takes presence and frequency penalties from the tokens of the output so far
 * (OpenAI's definition: count · frequencyPenalty + presencePenalty), in place.
 *
 * `rowOf` maps a token id to its place in a row of a reduced vocabulary, -1 where it has none. Ids without a place are
 * passed over. `counts` is scratch of the row's length; it must hold zeros and does so again afterwards.
 */
export function applyPenalties(
  logits: Float32Array,
  priorOutputTokenIds: ArrayLike<number>,
  params: Pick<SamplingParams, 'presencePenalty' | 'frequencyPenalty' | 'logitBias'>,
  rowOf: Int32Array | null = null,
  counts: Int32Array = new Int32Array(logits.length),
): void {
  const { presencePenalty, frequencyPenalty, logitBias } = params;
  const placeOf = (tokenId: number): number => {
    const place = rowOf ? (rowOf[tokenId] ?? -1) : tokenId;
    return place < logits.length ? place : -1;
  };
  for (const [tokenId, bias] of logitBias) {
    const place = placeOf(tokenId);
    if (place >= 0) logits[place]! += bias;
  }
  if (presencePenalty === 0 && frequencyPenalty === 0) return;
  for (let i = 0; i < priorOutputTokenIds.length; i++) {
    const place = placeOf(priorOutputTokenIds[i]!);
    if (place >= 0) counts[place]!++;
  }
  for (let i = 0; i < priorOutputTokenIds.length; i++) {
    const place = placeOf(priorOutputTokenIds[i]!);
    const count = place >= 0 ? counts[place]! : 0;
    if (count === 0) continue;
    logits[place]! -= count * frequencyPenalty + presencePenalty;
    counts[place] = 0;
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
