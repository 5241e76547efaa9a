/** Two schemas that must both hold, as one. What cannot be joined exactly is refused. */
import {
  isObject,
  isRestriction,
  type JsonObject,
  type JsonValue,
  type Schema,
  SchemaError,
  typesOf,
} from './schema.ts';

const GREATEST = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const LEAST = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];

/** Errors: SchemaError at `path`. */
export function merged(a: Schema, b: Schema, path: readonly string[]): Schema {
  if (a === true || b === false) return b;
  if (b === true || a === false) return a;
  refuseMixedItems(a, b, path);
  const result: Record<string, JsonValue> = { ...a, ...b };
  for (const keyword of Object.keys(a).filter((name) => name in b)) {
    result[keyword] = joined(keyword, a, b, path);
  }
  return { ...result, ...mergedMembers(a, b, path) };
}

/** One schema's items are for the other, which names the first ones, those and the rest. */
function refuseMixedItems(a: JsonObject, b: JsonObject, path: readonly string[]): void {
  const isTuple = ({ prefixItems, items }: JsonObject) => prefixItems !== undefined || Array.isArray(items);
  const isMixed = (x: JsonObject, y: JsonObject) => isTuple(x) && !isTuple(y) && y.items !== undefined;
  if (!isMixed(a, b) && !isMixed(b, a)) return;
  throw new SchemaError(
    [...path, 'items'],
    'cannot be joined with the first items of another schema that must hold as well',
  );
}

function joined(keyword: string, a: JsonObject, b: JsonObject, path: readonly string[]): JsonValue {
  const [x, y] = [a[keyword]!, b[keyword]!];
  const place = [...path, keyword];
  if (!isRestriction(keyword) || JSON.stringify(x) === JSON.stringify(y)) return x;
  if (GREATEST.includes(keyword)) return Math.max(x as number, y as number);
  if (LEAST.includes(keyword)) return Math.min(x as number, y as number);
  if (keyword === 'type') return commonTypes(a, b, path);
  if (keyword === 'required') return [...new Set([...(x as string[]), ...(y as string[])])];
  if (keyword === 'enum' && Array.isArray(x) && Array.isArray(y)) {
    const texts = new Set(y.map((value) => JSON.stringify(value)));
    return x.filter((value: JsonValue) => texts.has(JSON.stringify(value)));
  }
  if (keyword === 'items' && isSchema(x) && isSchema(y)) return merged(x, y, place);
  // Merged with each other by mergedMembers.
  if (keyword === 'properties' || keyword === 'additionalProperties') return x;
  throw new SchemaError(place, 'cannot be joined with that of another schema that must hold as well');
}

function commonTypes(a: JsonObject, b: JsonObject, path: readonly string[]): JsonValue {
  const [x, y] = [typesOf(a, path)!, typesOf(b, path)!];
  const common = x.flatMap((type) => {
    if (y.includes(type)) return [type];
    if (type === 'integer' && y.includes('number')) return [type];
    return type === 'number' && y.includes('integer') ? (['integer'] as const) : [];
  });
  if (common.length > 0) return common;
  throw new SchemaError([...path, 'type'], 'has nothing in common with that of another schema that must hold as well');
}

/** Properties of both; what only one of them names is, for the other, an additional one. */
function mergedMembers(a: JsonObject, b: JsonObject, path: readonly string[]): JsonObject {
  const [x, y] = [membersOf(a), membersOf(b)];
  const properties: Record<string, JsonValue> = {};
  for (const name of new Set([...Object.keys(x.properties), ...Object.keys(y.properties)])) {
    const one = x.properties[name] ?? x.additional;
    const other = y.properties[name] ?? y.additional;
    properties[name] = merged(one as Schema, other as Schema, [...path, 'properties', name]);
  }
  const isNamed = (schema: JsonObject, keyword: string) => schema[keyword] !== undefined;
  const additional = ['properties', 'additionalProperties'].some((k) => isNamed(a, k) && isNamed(b, k))
    ? merged(x.additional, y.additional, [...path, 'additionalProperties'])
    : undefined;
  const names = Object.keys(properties);
  const isAnyAdditional = isNamed(a, 'additionalProperties') || isNamed(b, 'additionalProperties');
  return {
    ...(names.length > 0 && { properties }),
    ...(isAnyAdditional && { additionalProperties: additional ?? merged(x.additional, y.additional, path) }),
  };
}

function membersOf(schema: JsonObject): { properties: JsonObject; additional: Schema } {
  const { properties, additionalProperties } = schema;
  return {
    properties: isObject(properties) ? properties : {},
    additional: isSchema(additionalProperties) ? additionalProperties : true,
  };
}

const isSchema = (value: unknown): value is Schema => typeof value === 'boolean' || isObject(value);
