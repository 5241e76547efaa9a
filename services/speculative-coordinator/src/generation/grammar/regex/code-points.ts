/** Sets of code points as ascending ranges that do not touch. Surrogates are no characters, and in no set. */
import { type CodePointRange, MAX_CODE_POINT } from '../character-class.ts';

export function normalised(ranges: readonly CodePointRange[]): CodePointRange[] {
  const result: [number, number][] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const previous = result.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else result.push([first, last]);
  }
  return result;
}

export function complement(ranges: readonly CodePointRange[]): CodePointRange[] {
  const result: CodePointRange[] = [];
  let next = 0;
  for (const [first, last] of normalised([...ranges, [0xd800, 0xdfff]])) {
    if (first > next) result.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= MAX_CODE_POINT) result.push([next, MAX_CODE_POINT]);
  return result;
}

export function without(ranges: readonly CodePointRange[], others: readonly CodePointRange[]): CodePointRange[] {
  return complement([...complement(ranges), ...others]);
}

export const contains = (ranges: readonly CodePointRange[], codePoint: number): boolean =>
  ranges.some(([first, last]) => first <= codePoint && codePoint <= last);
