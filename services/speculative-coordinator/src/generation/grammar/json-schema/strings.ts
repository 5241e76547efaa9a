/** Strings: their lengths, patterns and formats. */
import type { Rules } from '../ebnf.ts';
import { RegexError } from '../regex/parse-regex.ts';
import { regexToEbnf } from '../regex/regex-to-ebnf.ts';
import { JSON_STRING, QUOTE, restOfString } from './json-text.ts';
import { countOf, type JsonObject, SchemaError } from './schema.ts';

/**
 * Every length that is counted is a rule of its own, and takes 13 ms to compile (49,152 tokens). Where a string may be
 * longer it ends here all the same.
 */
const MAX_LENGTH = 128;

const HOUR = '(?:[01]\\d|2[0-3])';
const TIME = `${HOUR}:[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-]${HOUR}:[0-5]\\d)`;
/** Every day that there is, but for 29 February, which not every year has. */
const DATE =
  '(?:19|20)\\d\\d-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)';
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?';
const HEX = '[0-9a-f]';
const EMAIL = `[a-z0-9_+-]+(?:\\.[a-z0-9_+-]+)*@${LABEL}(?:\\.${LABEL})?\\.[a-z]{2,10}`;
const HOSTNAME = `${LABEL}(?:\\.${LABEL}){0,3}`;
const URI = `https?://${LABEL}(?:\\.${LABEL}){0,3}(?:/[A-Za-z0-9._~-]*)*`;
const POINTER = '(?:/[A-Za-z0-9._-]+)*';

/** Formats of JSON Schema and OpenAPI by a regular expression of texts that have them, if not of all of those. */
const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE}T${TIME}`,
  duration: 'P(?:\\d{1,4}D(?:T\\d{1,4}H)?|T\\d{1,4}[HMS]|\\d{1,4}W)',
  email: EMAIL,
  'idn-email': EMAIL,
  hostname: HOSTNAME,
  'idn-hostname': HOSTNAME,
  ipv4: `${BYTE}(?:\\.${BYTE}){3}`,
  ipv6: `(?:${HEX}{1,4}:){7}${HEX}{1,4}`,
  uri: URI,
  url: URI,
  iri: URI,
  'uri-reference': URI,
  'iri-reference': URI,
  'uri-template': URI,
  'json-pointer': POINTER,
  'relative-json-pointer': `[0-9]${POINTER}`,
  regex: '[A-Za-z0-9 _]*',
  byte: '(?:[A-Za-z0-9+/]{4})*',
  uuid: `${HEX}{8}-${HEX}{4}-[1-8]${HEX}{3}-[89ab]${HEX}{3}-${HEX}{12}`,
};

export function stringEbnf(schema: JsonObject, path: readonly string[], rules: Rules): string {
  return `${QUOTE} ${restOfStringEbnf(schema, path, rules)}`;
}

/** What follows the opening quote, the closing one included. */
export function restOfStringEbnf(schema: JsonObject, path: readonly string[], rules: Rules): string {
  const min = countOf(schema, 'minLength', path) ?? 0;
  const most = countOf(schema, 'maxLength', path);
  const max = most === undefined ? null : Math.min(most, MAX_LENGTH);
  if (most !== undefined && most < min)
    throw new SchemaError([...path, 'maxLength'], `must be at least minLength (${min})`);
  if (min > MAX_LENGTH) throw new SchemaError([...path, 'minLength'], `must be at most ${MAX_LENGTH}`);
  const keyword = schema.pattern !== undefined ? 'pattern' : 'format';
  const source = keyword === 'pattern' ? patternOf(schema, path) : formatOf(schema, path);
  if (source === undefined) return restOfString(rules, min, max);
  try {
    return regexToEbnf(source, rules, { isSearch: keyword === 'pattern', spelling: JSON_STRING, min, max });
  } catch (error) {
    if (error instanceof RegexError) throw new SchemaError([...path, keyword], `is not supported: ${error.message}`);
    throw error;
  }
}

/** Where there is a pattern it decides, and a format beside it is a remark. */
function patternOf({ pattern }: JsonObject, path: readonly string[]): string | undefined {
  if (typeof pattern === 'string') return pattern;
  throw new SchemaError([...path, 'pattern'], 'must be a string');
}

/** A format that neither JSON Schema nor OpenAPI knows is a remark, as JSON Schema has it. */
function formatOf({ format }: JsonObject, path: readonly string[]): string | undefined {
  if (format === undefined) return undefined;
  if (typeof format !== 'string') throw new SchemaError([...path, 'format'], 'must be a string');
  return Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
}
