/**
 * From a row of logits to the distribution that is sampled: allowed tokens, bias and penalties, temperature, top-k, top-p, min-p, in this order,
 * each filter seeing what the one before it left (the order of vLLM V0 and transformers; vLLM V1 puts min-p before
 * top-k, which differs only where min-p meets top-p). Draft, target and bonus rows all go through this one file, because a
 * filter that is applied to some of them only is a different distribution.
 */

import { oneHotDistribution } from './distribution.ts';
import { SamplingError } from './errors.ts';
import { expNegative } from './exp.ts';
import { applyAllowedTokens, applyPenalties, numMaskWords } from './logits.ts';
import { argmax, selectMass, selectTop } from './rank.ts';
import type { SamplingParams, TokenDistribution } from './types.ts';

/** Up to this share of the row a bounded heap finds the top k faster than a quickselect does. */
const HEAP_SHARE = 1 / 64;
const SMALLEST_FLOAT32 = 2 ** -149;

/** Holds scratch for rows of one length (20 bytes an entry). Not re-entrant; needs no closing. */
export class DistributionBuilder {
  readonly #rowLength: number;
  readonly #draftToTarget: Int32Array | null;
  readonly #rowOf: Int32Array | null;
  readonly #adjusted: Float32Array; // [rowLength], logits after mask, bias and penalties
  readonly #counts: Int32Array; // [rowLength], zeros between calls
  readonly #weights: Float64Array; // [rowLength], probability relative to the likeliest token
  readonly #order: Int32Array; // [rowLength], row indexes of what the filters have kept so far

  /**
   * `draftToTarget` [rowLength] names the token id of each entry of a reduced vocabulary's rows, ascending; null where
   * index and id are the same. Errors: invalid_argument.
   */
  constructor(rowLength: number, draftToTarget: Int32Array | null = null) {
    this.#rowLength = rowLength;
    this.#draftToTarget = draftToTarget;
    this.#rowOf = draftToTarget && invert(draftToTarget, rowLength);
    this.#adjusted = new Float32Array(rowLength);
    this.#counts = new Int32Array(rowLength);
    this.#weights = new Float64Array(rowLength);
    this.#order = new Int32Array(rowLength);
  }

  /**
   * The distribution of the next token. Dense where nothing is filtered and the vocabulary is whole, else sparse. Computed in
   * float64, stored in float32; -Infinity masks a token. `logits` [rowLength] is left as it is; `priorOutputTokenIds`
   * is what the penalties count. `allowedTokens` [ceil(rowLength / 32)] has a bit per token: whatever it leaves out is
   * masked before everything else. Errors: invalid_logits, invalid_argument.
   */
  distribution(
    logits: Float32Array,
    params: SamplingParams,
    priorOutputTokenIds: ArrayLike<number> = [],
    allowedTokens: Int32Array | null = null,
  ): TokenDistribution {
    if (logits.length !== this.#rowLength) {
      throw new SamplingError('invalid_argument', `a row must have ${this.#rowLength} logits, got ${logits.length}`);
    }
    const row = this.#adjust(this.#mask(logits, allowedTokens), params, priorOutputTokenIds);
    const likeliest = argmax(row); // refuses unusable rows
    if (params.temperature === 0) return oneHotDistribution(this.#draftToTarget?.[likeliest] ?? likeliest);
    const max = row[likeliest]!;
    const scale = Math.min(1 / params.temperature, Number.MAX_VALUE);
    const keepsAll = params.topK <= 0 || params.topK >= row.length;
    if (keepsAll && params.topP >= 1 && params.minP <= 0) return this.#unfiltered(row, max, scale);

    let count = keepsAll ? this.#listAll() : this.#selectTop(row, params.topK);
    const total = this.#weigh(row, max, count, scale);
    if (params.topP < 1) {
      // What weighs less than an even share of the excess lies outside the nucleus: unlisted without being ranked.
      count = this.#keepWeights(count, ((1 - params.topP) * total) / count);
      count = selectMass(row, this.#weights, this.#order, count, params.topP * total);
    }
    count = this.#keepWeights(count, Math.max(params.minP, SMALLEST_FLOAT32));
    return this.#sparse(count);
  }

  #mask(logits: Float32Array, allowedTokens: Int32Array | null): Float32Array {
    if (!allowedTokens) return logits;
    if (this.#draftToTarget || allowedTokens.length !== numMaskWords(this.#rowLength)) {
      throw new SamplingError('invalid_argument', 'allowed tokens must be a bit for each entry of a whole vocabulary');
    }
    this.#adjusted.set(logits);
    applyAllowedTokens(this.#adjusted, allowedTokens);
    return this.#adjusted;
  }

  #adjust(logits: Float32Array, params: SamplingParams, priorOutputTokenIds: ArrayLike<number>): Float32Array {
    const penalises = priorOutputTokenIds.length > 0 && (params.presencePenalty !== 0 || params.frequencyPenalty !== 0);
    if (!penalises && params.logitBias.size === 0) return logits;
    if (logits !== this.#adjusted) this.#adjusted.set(logits);
    applyPenalties(this.#adjusted, priorOutputTokenIds, params, this.#rowOf, this.#counts);
    return this.#adjusted;
  }

  #listAll(): number {
    const order = this.#order;
    for (let i = 0; i < order.length; i++) order[i] = i;
    return order.length;
  }

  /** Lists the k first-ranked entries and returns how many there are. */
  #selectTop(row: Float32Array, k: number): number {
    if (k <= row.length * HEAP_SHARE) return selectTop(row, k, this.#order);
    this.#weights.fill(1);
    return selectMass(row, this.#weights, this.#order, this.#listAll(), k);
  }

  /** Weighs the listed entries relative to the likeliest and returns their sum. */
  #weigh(row: Float32Array, max: number, count: number, scale: number): number {
    let total = 0;
    for (let j = 0; j < count; j++) {
      const i = this.#order[j]!;
      const weight = expNegative((row[i]! - max) * scale);
      this.#weights[i] = weight;
      total += weight;
    }
    return total;
  }

  /** Unlists what weighs less than `floor` and returns how many are left. */
  #keepWeights(count: number, floor: number): number {
    const order = this.#order;
    let kept = 0;
    for (let j = 0; j < count; j++) {
      if (this.#weights[order[j]!]! >= floor) order[kept++] = order[j]!;
    }
    return kept;
  }

  #sparse(count: number): TokenDistribution {
    const weights = this.#weights;
    const tokenIds = this.#order.slice(0, count).sort();
    const probs = new Float32Array(count);
    let total = 0;
    for (let j = 0; j < count; j++) total += weights[tokenIds[j]!]!;
    const normaliser = 1 / total;
    for (let j = 0; j < count; j++) probs[j] = weights[tokenIds[j]!]! * normaliser;
    if (this.#draftToTarget) for (let j = 0; j < count; j++) tokenIds[j] = this.#draftToTarget[tokenIds[j]!]!;
    return { tokenIds, probs };
  }

  #unfiltered(row: Float32Array, max: number, scale: number): TokenDistribution {
    const weights = this.#weights;
    const probs = new Float32Array(row.length);
    let total = 0;
    for (let i = 0; i < row.length; i++) {
      const weight = expNegative((row[i]! - max) * scale);
      weights[i] = weight;
      total += weight;
    }
    const normaliser = 1 / total;
    for (let i = 0; i < row.length; i++) probs[i] = weights[i]! * normaliser;
    return { tokenIds: this.#draftToTarget, probs };
  }
}

/** [highest id + 1]: the place of each id in `draftToTarget`, -1 where it has none. */
function invert(draftToTarget: Int32Array, rowLength: number): Int32Array {
  const ascends = draftToTarget.every((id, i) => id > (i === 0 ? -1 : draftToTarget[i - 1]!));
  if (draftToTarget.length !== rowLength || !ascends) {
    throw new SamplingError('invalid_argument', `draftToTarget must be ${rowLength} ascending token ids`);
  }
  const rowOf = new Int32Array((draftToTarget.at(-1) ?? -1) + 1).fill(-1);
  draftToTarget.forEach((id, i) => {
    rowOf[id] = i;
  });
  return rowOf;
}
