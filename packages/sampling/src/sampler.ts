/**
 * From a row of logits to the next token: bias, penalties and suppressed tokens (logits.ts), temperature, top-k, top-p,
 * min-p, in this order, each seeing what the one before it left (the order of transformers and vLLM V0; vLLM V1 puts min-p
 * before top-k, which differs only where min-p meets top-p). What follows from that is the likeliest token, the
 * distribution, or a token drawn with noise that another sampler shares. Every row of draft and target goes through this
 * file, because a filter that is applied to some of them only is a different distribution.
 */

import { drawCoupled, drawCoupledFromLogits } from './coupled-draw.ts';
import type { CoupledNoise } from './coupled-noise.ts';
import { oneHotDistribution } from './distribution.ts';
import { SamplingError } from './errors.ts';
import { expNegative } from './exp.ts';
import { adjustLogits, changesLogits } from './logits.ts';
import { argmax, selectMass, selectTop } from './rank.ts';
import type { SamplingParams, TextSoFar, TokenDistribution } from './types.ts';

const NO_TEXT: TextSoFar = { tokenIds: [], outputStart: 0 };

/** Up to this share of the row a bounded heap finds the top k faster than a quickselect does. */
const HEAP_SHARE = 1 / 64;
const SMALLEST_FLOAT32 = 2 ** -149;

/** Holds scratch for rows of one length (20 bytes an entry). Not re-entrant; needs no closing. */
export class Sampler {
  readonly #rowLength: number;
  readonly #draftToTarget: Int32Array | null;
  readonly #rowOf: Int32Array | null;
  readonly #scratch: Float32Array; // [rowLength], logits after bias, penalties and suppressed tokens
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
    this.#scratch = new Float32Array(rowLength);
    this.#counts = new Int32Array(rowLength);
    this.#weights = new Float64Array(rowLength);
    this.#order = new Int32Array(rowLength);
  }

  /**
   * The distribution of the next token. Dense where nothing is filtered and the vocabulary is whole, else sparse. Computed in
   * float64, stored in float32; -Infinity masks a token. `logits` [rowLength] is left as it is; `text` is what the
   * penalties look at. Errors: invalid_logits, invalid_argument.
   */
  distribution(logits: Float32Array, params: SamplingParams, text: TextSoFar = NO_TEXT): TokenDistribution {
    const row = this.#adjusted(logits, params, text);
    const likeliest = argmax(row); // refuses unusable rows
    if (params.temperature === 0) return oneHotDistribution(this.#idOf(likeliest));
    const scale = scaleOf(params);
    if (!this.#isFiltered(params)) return this.#unfiltered(row, row[likeliest]!, scale);
    return this.#sparse(this.#filter(row, row[likeliest]!, scale, params));
  }

  /** The likeliest token after bias, penalties and suppressed tokens. Errors: as above. */
  likeliest(logits: Float32Array, params: SamplingParams, text: TextSoFar = NO_TEXT): number {
    return this.#idOf(argmax(this.#adjusted(logits, params, text)));
  }

  /**
   * A token of the same distribution, in float64 all the way, drawn with noise that others share: equal rows, parameters
   * and noise give the same token everywhere (docs/coupled-sampling.md). The likeliest one at temperature 0. Errors: as above.
   */
  drawCoupled(logits: Float32Array, params: SamplingParams, text: TextSoFar, noise: CoupledNoise): number {
    if (params.temperature === 0) return this.likeliest(logits, params, text);
    const row = this.#adjusted(logits, params, text);
    const scale = scaleOf(params);
    if (!this.#isFiltered(params) && !this.#draftToTarget) return drawCoupledFromLogits(row, scale, noise);
    const count = this.#filter(row, row[argmax(row)]!, scale, params);
    const indexes = this.#order.slice(0, count).sort();
    const probs = Float64Array.from(indexes, (i) => this.#weights[i]!);
    return drawCoupled({ tokenIds: indexes.map((i) => this.#idOf(i)), probs }, noise);
  }

  #idOf(index: number): number {
    return this.#draftToTarget ? this.#draftToTarget[index]! : index;
  }

  /** The row that everything else looks at. */
  #adjusted(logits: Float32Array, params: SamplingParams, text: TextSoFar): Float32Array {
    if (logits.length !== this.#rowLength) {
      throw new SamplingError('invalid_argument', `a row must have ${this.#rowLength} logits, got ${logits.length}`);
    }
    if (!changesLogits(params, text)) return logits;
    this.#scratch.set(logits);
    adjustLogits(this.#scratch, params, text, { rowOf: this.#rowOf, counts: this.#counts });
    return this.#scratch;
  }

  #isFiltered({ topK, topP, minP }: SamplingParams): boolean {
    return (topK > 0 && topK < this.#rowLength) || topP < 1 || minP > 0;
  }

  /** Lists and weighs what the filters keep, and returns how many that are. */
  #filter(row: Float32Array, max: number, scale: number, params: SamplingParams): number {
    const { topK, topP, minP } = params;
    const floor = Math.max(minP, SMALLEST_FLOAT32);
    const keepsAll = topK <= 0 || topK >= row.length;
    let count = keepsAll ? row.length : this.#selectTop(row, topK);
    const total = keepsAll ? this.#weighAll(row, max, scale) : this.#weigh(row, max, count, scale);
    if (topP < 1) {
      // What weighs less than an even share of the excess lies outside the nucleus: unlisted without being ranked.
      const excess = ((1 - topP) * total) / count;
      count = keepsAll ? this.#listFrom(excess) : this.#keepWeights(count, excess);
      count = selectMass(row, this.#weights, this.#order, count, topP * total);
    } else if (keepsAll) {
      return this.#listFrom(floor);
    }
    return this.#keepWeights(count, floor);
  }

  #listAll(): number {
    const order = this.#order;
    for (let i = 0; i < order.length; i++) order[i] = i;
    return order.length;
  }

  /** Lists what weighs at least `floor` and returns how many there are. */
  #listFrom(floor: number): number {
    const order = this.#order;
    const weights = this.#weights;
    let count = 0;
    for (let i = 0; i < weights.length; i++) if (weights[i]! >= floor) order[count++] = i;
    return count;
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

  /** Weighs every entry relative to the likeliest and returns their sum. */
  #weighAll(row: Float32Array, max: number, scale: number): number {
    const weights = this.#weights;
    let total = 0;
    for (let i = 0; i < row.length; i++) {
      const weight = expNegative((row[i]! - max) * scale);
      weights[i] = weight;
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
    const normaliser = 1 / this.#weighAll(row, max, scale);
    for (let i = 0; i < row.length; i++) probs[i] = weights[i]! * normaliser;
    return { tokenIds: this.#draftToTarget, probs };
  }
}

const scaleOf = ({ temperature }: SamplingParams): number => Math.min(1 / temperature, Number.MAX_VALUE);

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
