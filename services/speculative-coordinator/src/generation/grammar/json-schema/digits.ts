/** Ranges of whole numbers as digits. */
import { anyOf, literal, repeated } from '../ebnf.ts';

/** Digits that a number without bounds may have: all of these are exact in every reader that has 64-bit integers. */
const MAX_DIGITS = 18;

/** Decimal spellings, without leading zeros, of the whole numbers from `min` (0 or more) to `max` (null: no end). */
export function wholeNumbers(min: bigint, max: bigint | null): string {
  const most = 10n ** BigInt(Math.max(MAX_DIGITS, `${min}`.length)) - 1n;
  const top = max === null ? most : max;
  const parts: string[] = [];
  for (let width = `${min}`.length; width <= `${top}`.length; width++) {
    const least = width === 1 ? 0n : 10n ** BigInt(width - 1);
    const greatest = 10n ** BigInt(width) - 1n;
    const from = min > least ? min : least;
    const to = top < greatest ? top : greatest;
    if (from > to) continue;
    // Whole widths in a row are one repetition.
    if (from === least && to === greatest && width > 1 && max === null) {
      parts.push(`[1-9] ${repeated('[0-9]', width - 1, `${top}`.length - 1)}`);
      break;
    }
    parts.push(fixedWidth(`${from}`, `${to}`));
  }
  return anyOf(parts);
}

/** All texts of digits of one width from one to another, in the order of numbers. */
export function fixedWidth(from: string, to: string): string {
  if (from === '') return '""';
  if (from === to) return literal(from);
  const width = from.length;
  if (/^0*$/.test(from) && /^9*$/.test(to)) return repeated('[0-9]', width, width);
  const [a, b] = [from[0]!, to[0]!];
  if (a === b) return `(${literal(a)} ${fixedWidth(from.slice(1), to.slice(1))})`;
  const rest = width - 1;
  const parts: string[] = [];
  let [low, high] = [Number(a), Number(b)];
  if (!/^0*$/.test(from.slice(1))) {
    parts.push(`${literal(a)} ${fixedWidth(from.slice(1), '9'.repeat(rest))}`);
    low++;
  }
  const cutsTop = !/^9*$/.test(to.slice(1));
  if (cutsTop) high--;
  if (low <= high) parts.push(`[${low}-${high}] ${rest > 0 ? repeated('[0-9]', rest, rest) : ''}`.trim());
  if (cutsTop) parts.push(`${literal(b)} ${fixedWidth('0'.repeat(rest), to.slice(1))}`);
  return anyOf(parts);
}
