/** How JSON is written: on one line, ", " between and ": " after a key, which is what models write and tokenizers like. */
import { type CodePointRange, characterWays } from '../character-class.ts';
import { literal, type Rules } from '../ebnf.ts';
import { contains, without } from '../regex/code-points.ts';
import type { Spelling } from '../regex/regex-to-ebnf.ts';
import type { JsonValue } from './schema.ts';

export const COMMA = literal(', ');
export const QUOTE = literal('"');

/** A key and what stands before its value. */
export const key = (name: string): string => literal(`${JSON.stringify(name)}: `);

/** A value in this spelling. */
export function jsonText(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(jsonText).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}: ${jsonText(member)}`);
  return `{${members.join(', ')}}`;
}

const NEVER_RAW: readonly CodePointRange[] = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
];
const ESCAPES: Readonly<Record<number, string>> = {
  8: '\\b',
  9: '\\t',
  10: '\\n',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

/** Characters that need no escape. */
export const RAW_CHARACTERS: readonly CodePointRange[] = without([[0, 0x10_ff_ff]], NEVER_RAW);

/** Texts between quotes: characters as they are, or escaped where they must be. */
export const JSON_STRING: Spelling = {
  ways: (ranges) => [
    ...characterWays(without(ranges, NEVER_RAW)),
    ...Object.entries(ESCAPES)
      .filter(([codePoint]) => contains(ranges, Number(codePoint)))
      .map(([, text]) => literal(text)),
  ],
  end: QUOTE,
};

/** The ways to write one character of a string, each of which stands for exactly one. Fewer compile sooner. */
const SHORT_WAYS = [...characterWays(RAW_CHARACTERS), `${literal('\\')} ["\\u005c/bfnrt]`];
const ALL_WAYS = [
  ...SHORT_WAYS,
  `${literal('\\u')} [0-9A-Ca-cE-Fe-f] [0-9A-Fa-f] [0-9A-Fa-f] [0-9A-Fa-f]`,
  `${literal('\\u')} [Dd] [0-7] [0-9A-Fa-f] [0-9A-Fa-f]`,
];

/**
 * What follows the opening quote of a string of `min` to `max` characters (null: no end), its closing quote included.
 * One rule leads to the next, and none calls another in between: XGrammar knows at once which tokens a rule allows, and
 * must try those, one by one, that go on behind its end.
 */
export function restOfString(rules: Rules, min: number, max: number | null): string {
  if (max === null && min === 0) return loop(rules);
  let rest = max === null ? loop(rules) : rules.rule(QUOTE);
  for (let left = 1; left <= (max ?? min); left++) {
    const mayEnd = max !== null && left <= max - min;
    rest = rules.rule([...(mayEnd ? [QUOTE] : []), ...SHORT_WAYS.map((way) => `${way} ${rest}`)].join(' | '));
  }
  return rest;
}

const loop = (rules: Rules): string =>
  rules.named('string', (name) => [QUOTE, ...ALL_WAYS.map((way) => `${way} ${name}`)].join(' | '));
