/**
 * Partial selection over a row of logits, by rank: the higher logit first, the lower index among equals. Nothing here
 * sorts a vocabulary, and nothing knows of probabilities beyond "each entry has a weight". `argmax` is also where a
 * row is looked at for NaN; the other functions trust that it was.
 */
import { SamplingError } from './errors.ts';

/** Index of the highest logit, the lowest one among equals. Errors: invalid_logits (NaN, +Infinity, all -Infinity). */
export function argmax(logits: Float32Array, offset = 0, length = logits.length - offset): number {
  const row = length === logits.length ? logits : logits.subarray(offset, offset + length);
  let best = Number.NEGATIVE_INFINITY;
  let bestIndex = -1;
  for (let i = skipRanked(row, 0, best); i < row.length; i = skipRanked(row, i + 1, best)) {
    const x = row[i]!;
    if (!(x < Number.POSITIVE_INFINITY)) throw new SamplingError('invalid_logits', `logit ${i} of the row is ${x}`);
    best = x;
    bestIndex = i;
  }
  if (bestIndex < 0) {
    throw new SamplingError('invalid_logits', 'every logit of the row is -Infinity: no token is left to choose');
  }
  return bestIndex;
}

/**
 * Writes the indexes of the k first-ranked logits to `order` (in no useful order) and returns how many there are:
 * fewer than k only where the row ends or is masked (-Infinity).
 * One pass with a bounded heap whose root is the last-ranked of the kept: fast while k is a small share of the row.
 */
export function selectTop(logits: Float32Array, k: number, order: Int32Array): number {
  let count = 0;
  let threshold = Number.NEGATIVE_INFINITY;
  for (let i = skipRanked(logits, 0, threshold); i < logits.length; i = skipRanked(logits, i + 1, threshold)) {
    if (count < k) siftUp(logits, order, count++, i);
    else siftDown(logits, order, count, i);
    if (count === k) threshold = logits[order[0]!]!;
  }
  return count;
}

/**
 * Moves the shortest run of first-ranked entries whose weight reaches `mass` to the front of order[0..count) and
 * returns its length; `count` where the whole falls short. A quickselect that follows weight instead of number:
 * expected time is linear. `weights` is by logit index.
 */
export function selectMass(
  logits: Float32Array,
  weights: Float64Array,
  order: Int32Array,
  count: number,
  mass: number,
): number {
  let low = 0; // order[0..low) is kept, `mass` is what it still lacks
  let high = count; // order[high..count) is not kept
  while (low < high) {
    const last = high - 1;
    const pivotAt = medianOfThree(logits, order, low, (low + last) >> 1, last);
    const pivot = order[pivotAt]!;
    order[pivotAt] = order[last]!; // the pivot waits at the end; order[low..split) ranks before it
    let split = low;
    let headMass = 0;
    for (let j = low; j < last; j++) {
      const index = order[j]!;
      if (!ranksBefore(logits, index, pivot)) continue;
      headMass += weights[index]!;
      order[j] = order[split]!;
      order[split++] = index;
    }
    order[last] = order[split]!;
    order[split] = pivot;
    if (headMass >= mass) {
      high = split;
      continue;
    }
    low = split + 1;
    mass -= headMass + weights[pivot]!;
    if (mass <= 0) return low;
  }
  return low;
}

/**
 * The first index from `i` on, before `length`, whose logit is not at most `threshold` (it is higher, or NaN); `length` if
 * none.
 * Looking at four at a time is what makes a pass over a vocabulary three times as fast.
 */
export function skipRanked(row: Float32Array, i: number, threshold: number, length = row.length): number {
  const end = length - 3;
  while (
    i < end &&
    row[i]! <= threshold &&
    row[i + 1]! <= threshold &&
    row[i + 2]! <= threshold &&
    row[i + 3]! <= threshold
  ) {
    i += 4;
  }
  while (i < length && row[i]! <= threshold) i++;
  return i;
}

function ranksBefore(logits: Float32Array, a: number, b: number): boolean {
  const x = logits[a]!;
  const y = logits[b]!;
  return x > y || (x === y && a < b);
}

/** Of three places in `order`, the one whose entry ranks between the others. */
function medianOfThree(logits: Float32Array, order: Int32Array, a: number, b: number, c: number): number {
  const first = ranksBefore(logits, order[a]!, order[b]!) ? a : b;
  const second = first === a ? b : a;
  if (ranksBefore(logits, order[c]!, order[first]!)) return first;
  return ranksBefore(logits, order[c]!, order[second]!) ? c : second;
}

function siftUp(logits: Float32Array, heap: Int32Array, at: number, index: number): void {
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!ranksBefore(logits, heap[parent]!, index)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = index;
}

/** Replaces the root by `index`. */
function siftDown(logits: Float32Array, heap: Int32Array, count: number, index: number): void {
  let at = 0;
  for (let child = 1; child < count; child = 2 * at + 1) {
    if (child + 1 < count && ranksBefore(logits, heap[child]!, heap[child + 1]!)) child++;
    if (!ranksBefore(logits, index, heap[child]!)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = index;
}
