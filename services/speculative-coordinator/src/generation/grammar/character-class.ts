/**
 * Sets of characters in XGrammar's notation. Its classes are of *bytes*, whatever its documentation says, so characters
 * beyond ASCII are written as the bytes of their UTF-8 (RFC 3629).
 */

/** Inclusive range of code points. */
export type CodePointRange = readonly [first: number, last: number];
export const MAX_CODE_POINT = 0x10_ff_ff;

/** Where the number of bytes changes. */
const WIDTHS: readonly CodePointRange[] = [
  [0x80, 0x7ff],
  [0x800, 0xd7ff], // behind it surrogates, which are no characters
  [0xe000, 0xffff],
  [0x10000, MAX_CODE_POINT],
];

/**
 * The ways to write one character of a set, each a sequence of classes; none for an empty set. `ranges` ascend and do not
 * touch. The character 0 is in no set: XGrammar has no way to write it.
 */
export function characterWays(ranges: readonly CodePointRange[]): string[] {
  const ascii = ranges.flatMap((range) => within(range, [1, 0x7f]));
  const others = ranges.flatMap((range) => WIDTHS.flatMap((width) => within(range, width)));
  return [
    ...(ascii.length > 0 ? [`[${ascii.map(spelled).join('')}]`] : []),
    ...others.flatMap(([first, last]) => byteSequences(utf8(first), utf8(last))),
  ];
}

const within = ([first, last]: CodePointRange, [low, high]: CodePointRange): CodePointRange[] => {
  const range = [Math.max(first, low), Math.min(last, high)] as const;
  return range[0] <= range[1] ? [range] : [];
};

const utf8 = (codePoint: number): number[] => [...new TextEncoder().encode(String.fromCodePoint(codePoint))];

/** All sequences from one to another of the same length, as classes of bytes. */
function byteSequences(first: readonly number[], last: readonly number[]): string[] {
  const [a, ...restOfFirst] = first as [number, ...number[]];
  const [b, ...restOfLast] = last as [number, ...number[]];
  if (restOfFirst.length === 0) return [byteClass(a, b)];
  if (a === b) return byteSequences(restOfFirst, restOfLast).map((rest) => `${byteClass(a, a)} ${rest}`);
  const lowest = restOfFirst.map(() => 0x80);
  const highest = restOfFirst.map(() => 0xbf);
  const startsWhole = restOfFirst.every((byte) => byte === 0x80);
  const endsWhole = restOfLast.every((byte) => byte === 0xbf);
  const parts: string[] = [];
  if (!startsWhole) parts.push(...byteSequences([a, ...restOfFirst], [a, ...highest]));
  const [from, to] = [startsWhole ? a : a + 1, endsWhole ? b : b - 1];
  if (from <= to) parts.push([byteClass(from, to), ...lowest.map(() => byteClass(0x80, 0xbf))].join(' '));
  if (!endsWhole) parts.push(...byteSequences([b, ...lowest], [b, ...restOfLast]));
  return parts;
}

/** Of one byte that is written twice XGrammar makes a class, of one that is written once a character. */
const byteClass = (first: number, last: number): string =>
  first === last ? `[${byte(first)}${byte(first)}]` : `[${byte(first)}-${byte(last)}]`;

const spelled = ([first, last]: CodePointRange): string =>
  first === last ? byte(first) : `${byte(first)}-${byte(last)}`;

const byte = (value: number): string =>
  /[A-Za-z0-9]/.test(String.fromCharCode(value))
    ? String.fromCharCode(value)
    : `\\u${value.toString(16).padStart(4, '0')}`;
