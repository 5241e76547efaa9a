/** Arrays: what their items are, one by one and after those, and how many there may be. */
import { anyOf, literal, repeated } from '../ebnf.ts';
import { COMMA } from './json-text.ts';
import type { Converter } from './objects.ts';
import { countOf, type JsonObject, type JsonValue, type Placed, placedAt, SchemaError } from './schema.ts';

const MAX_ITEMS = 4096;

export function arrayEbnf(schema: JsonObject, placed: Placed, converter: Converter): string {
  const { path } = placed;
  const min = countOf(schema, 'minItems', path) ?? 0;
  const max = countOf(schema, 'maxItems', path) ?? null;
  if (Math.max(min, max ?? 0) > MAX_ITEMS) {
    throw new SchemaError([...path, min > MAX_ITEMS ? 'minItems' : 'maxItems'], `must be at most ${MAX_ITEMS}`);
  }
  if (max !== null && max < min) throw new SchemaError([...path, 'maxItems'], `must be at least minItems (${min})`);
  const { first, others } = itemsOf(schema, placed, converter);
  const numFirst = max === null ? first.length : Math.min(max, first.length);
  const last = others === null ? numFirst : max;
  if (last !== null && last < min) throw new SchemaError([...path, 'minItems'], 'asks for more items than are allowed');

  // From the last item that has a schema of its own to the first.
  const minOthers = Math.max(0, min - numFirst);
  let rest =
    others === null || last === numFirst
      ? '""'
      : repeated(`${COMMA} ${others}`, minOthers, last === null ? null : last - numFirst);
  for (let i = numFirst - 1; i > 0; i--) {
    const item = `${COMMA} ${first[i]} ${rest}`;
    rest = i < min ? item : `(${item})?`;
  }
  if (last === 0) return literal('[]');
  const head =
    numFirst > 0
      ? `${first[0]} ${rest}`
      : `${others} ${repeated(`${COMMA} ${others}`, Math.max(0, min - 1), last === null ? null : last - 1)}`;
  return `${literal('[')} ${min > 0 ? head : anyOf([head, '""'])} ${literal(']')}`;
}

/** Grammars of the first items, and of all that follow; null: none may follow. */
function itemsOf(schema: JsonObject, placed: Placed, converter: Converter) {
  const { prefixItems, items, additionalItems } = schema;
  // Before 2020-12 a list of schemas was called items, and what follows it additionalItems.
  const isOld = Array.isArray(items);
  const list: JsonValue = isOld ? items : (prefixItems ?? []);
  const keyword = isOld ? 'items' : 'prefixItems';
  if (!Array.isArray(list)) throw new SchemaError([...placed.path, keyword], 'must be a list of schemas');
  const first = list.map((item, i) => converter.value(placedAt(placed, item, keyword, `${i}`)));
  const following = (isOld ? additionalItems : items) ?? list.length === 0;
  if (following === false) return { first, others: null };
  const others = converter.value(placedAt(placed, following, isOld ? 'additionalItems' : 'items'));
  return { first, others };
}
