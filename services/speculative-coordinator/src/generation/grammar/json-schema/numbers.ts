/** Numbers within bounds. A grammar may allow fewer spellings than JSON does, never a value outside the bounds. */
import { anyOf, literal, repeated } from '../ebnf.ts';
import { fixedWidth, wholeNumbers } from './digits.ts';
import { type JsonObject, SchemaError } from './schema.ts';

/** A bound, and whether it is allowed itself. */
interface Bound {
  readonly value: number;
  readonly isOpen: boolean;
}

const FRACTION = `${literal('.')} ${repeated('[0-9]', 1, 12)}`;
/** Not 0: a last digit other than 0. */
const POSITIVE_FRACTION = `${literal('.')} ${repeated('[0-9]', 0, 11)} [1-9]`;
const EXPONENT = `([eE] ([+-])? [0-9] ([0-9])?)?`;
/** Bounds with more decimals than this are narrowed to them. */
const MAX_DECIMALS = 9;
/** Numbers with bounds stay within this, where doubles are exact to a tenth. */
const MAX_MAGNITUDE = 1e15;
/** OpenAPI's `int32`. What is written without bounds fits its other formats: int64 by its digits, float and double always. */
const INT32 = { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 };

export function integerEbnf(schema: JsonObject, path: readonly string[]): string {
  if (schema.multipleOf !== undefined && schema.multipleOf !== 1) refuseMultipleOf(path);
  const { low, high } = boundsOf(schema, path);
  const min = low && BigInt(low.isOpen ? Math.floor(low.value) + 1 : Math.ceil(low.value));
  const max = high && BigInt(high.isOpen ? Math.ceil(high.value) - 1 : Math.floor(high.value));
  if (min !== null && max !== null && min > max) throw new SchemaError(path, 'has no whole number within its bounds');
  const parts: string[] = [];
  if (max === null || max >= 0n) parts.push(wholeNumbers(min !== null && min > 0n ? min : 0n, max));
  if (min === null || min < 0n) {
    const nearest = max !== null && max < 0n ? -max : 1n;
    parts.push(`${literal('-')} ${wholeNumbers(nearest, min === null ? null : -min)}`);
  }
  return anyOf(parts);
}

export function numberEbnf(schema: JsonObject, path: readonly string[]): string {
  if (schema.multipleOf === 1) return integerEbnf(schema, path);
  if (schema.multipleOf !== undefined) refuseMultipleOf(path);
  const { low, high } = boundsOf(schema, path);
  if (!low && !high) {
    return `(${literal('-')})? ${wholeNumbers(0n, null)} (${FRACTION})? ${EXPONENT}`;
  }
  const zero: Bound = { value: 0, isOpen: false };
  const negated = (bound: Bound): Bound => ({ ...bound, value: -bound.value });
  const parts: string[] = [];
  if (!high || high.value >= 0) parts.push(...magnitudes(low && low.value >= 0 ? low : zero, high));
  if (!low || low.value < 0) {
    const nearest = high && high.value <= 0 ? negated(high) : { value: 0, isOpen: true };
    parts.push(...magnitudes(nearest, low && negated(low)).map((part) => `${literal('-')} ${part}`));
  }
  if (parts.length === 0) throw new SchemaError(path, 'has no number within its bounds');
  return anyOf(parts);
}

/** Spellings of the numbers from `low` (0 or more) to `high`, without sign. */
function magnitudes(low: Bound, high: Bound | null): string[] {
  const parts: string[] = [];
  const firstWhole = BigInt(low.isOpen ? Math.floor(low.value) + 1 : Math.ceil(low.value));
  const lastWhole = high && BigInt(high.isOpen ? Math.ceil(high.value) - 1 : Math.floor(high.value));
  if (lastWhole === null || firstWhole <= lastWhole) parts.push(wholeNumbers(firstWhole, lastWhole));
  // A cell is what begins with one whole number; those in the middle lie within the bounds whatever their decimals.
  const firstCell = BigInt(Math.floor(low.value));
  const lastCell = high && BigInt(Math.floor(high.value));
  const begins = Number.isInteger(low.value) && !low.isOpen;
  const firstWholeCell = begins ? firstCell : firstCell + 1n;
  const lastWholeCell = lastCell === null ? null : lastCell - 1n;
  if (lastWholeCell === null || firstWholeCell <= lastWholeCell) {
    parts.push(`${wholeNumbers(firstWholeCell, lastWholeCell)} ${FRACTION}`);
  }
  if (!begins && (lastCell === null || firstCell < lastCell)) {
    const decimals = Number.isInteger(low.value) ? POSITIVE_FRACTION : decimalsBetween(low, null);
    if (decimals) parts.push(`${literal(`${firstCell}`)} ${decimals}`);
  }
  if (high && !Number.isInteger(high.value)) {
    const isSameCell = firstCell === lastCell;
    const decimals = decimalsBetween(isSameCell ? low : null, high);
    if (decimals) parts.push(`${literal(`${lastCell}`)} ${decimals}`);
  }
  return parts;
}

/** Decimals from those of `low` to those of `high`, up to a few more than these have; null when there are none. */
function decimalsBetween(low: Bound | null, high: Bound | null): string | null {
  const width = Math.min(MAX_DECIMALS, Math.max(decimalsOf(low), decimalsOf(high)) + 2);
  const scale = 10 ** width;
  const partOf = ({ value }: Bound) => (value - Math.floor(value)) * scale;
  // Rounded inwards, and by one more where a bound itself is not allowed or not exact.
  const from = low ? Math.ceil(partOf(low) - 1e-3) + (low.isOpen ? 1 : 0) : 0;
  const to = high ? Math.floor(partOf(high) + 1e-3) - (high.isOpen ? 1 : 0) : scale - 1;
  const parts = Array.from({ length: width }, (_, i) => {
    const numDigits = i + 1;
    const unit = 10 ** (width - numDigits);
    const [least, most] = [Math.ceil(from / unit), Math.min(Math.floor(to / unit), 10 ** numDigits - 1)];
    const digits = (value: number) => `${value}`.padStart(numDigits, '0');
    return least > most ? [] : [fixedWidth(digits(least), digits(most))];
  }).flat();
  return parts.length === 0 ? null : `${literal('.')} ${anyOf(parts)}`;
}

function decimalsOf(bound: Bound | null): number {
  const [, decimals = ''] = bound ? `${bound.value}`.split('.') : [];
  return decimals.length;
}

function boundsOf(schema: JsonObject, path: readonly string[]): { low: Bound | null; high: Bound | null } {
  // A bound further out than this restricts nothing that is written here.
  const read = (keyword: string, outermost: number): number | undefined => {
    const value = schema[keyword];
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value * Math.sign(outermost) > MAX_MAGNITUDE) return outermost;
    if (typeof value !== 'number' || Math.abs(value) > MAX_MAGNITUDE) {
      throw new SchemaError([...path, keyword], 'must be a number from -1e15 to 1e15');
    }
    return value;
  };
  const bound = (
    closed: number | undefined,
    open: number | undefined,
    isTighter: (a: number, b: number) => boolean,
  ) => {
    if (open !== undefined && (closed === undefined || !isTighter(closed, open))) return { value: open, isOpen: true };
    return closed === undefined ? null : { value: closed, isOpen: false };
  };
  let [minimum, maximum] = [read('minimum', -MAX_MAGNITUDE), read('maximum', MAX_MAGNITUDE)];
  if (schema.format === 'int32') {
    minimum = Math.max(minimum ?? -MAX_MAGNITUDE, INT32.minimum);
    maximum = Math.min(maximum ?? MAX_MAGNITUDE, INT32.maximum);
  }
  return {
    low: bound(minimum, read('exclusiveMinimum', -MAX_MAGNITUDE), (a, b) => a > b),
    high: bound(maximum, read('exclusiveMaximum', MAX_MAGNITUDE), (a, b) => a < b),
  };
}

function refuseMultipleOf(path: readonly string[]): never {
  throw new SchemaError([...path, 'multipleOf'], 'is not supported by the grammar');
}
