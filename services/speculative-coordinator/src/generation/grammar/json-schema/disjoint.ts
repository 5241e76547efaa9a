/** Whether no value can be of two schemas at once, as far as that is plain to see: `oneOf` is `anyOf` then. */
import { isObject, type JsonObject, type JsonValue, type Schema, typesOf, typesOfKeywords } from './schema.ts';

export function areDisjoint(schemas: readonly Schema[]): boolean {
  return schemas.every((a, i) => schemas.slice(i + 1).every((b) => isObject(a) && isObject(b) && differ(a, b)));
}

function differ(a: JsonObject, b: JsonObject): boolean {
  const [x, y] = [valuesOf(a), valuesOf(b)];
  if (x && y) return x.every((value) => !y.includes(value));
  const [s, t] = [kindsOf(a), kindsOf(b)];
  if (s && t && s.every((kind) => !t.includes(kind))) return true;
  return s?.join() === 'object' && t?.join() === 'object' && haveTellingProperty(a, b);
}

/** A property that both require, and whose values differ. */
function haveTellingProperty(a: JsonObject, b: JsonObject): boolean {
  const required = (schema: JsonObject) => (Array.isArray(schema.required) ? schema.required : []);
  return required(a).some((name: string) => {
    if (!required(b).includes(name)) return false;
    const [x, y] = [a, b].map(({ properties }) => (isObject(properties) ? properties[name] : undefined));
    return isObject(x) && isObject(y) && differ(x, y);
  });
}

/** The values that a schema lists, as text. */
function valuesOf(schema: JsonObject): string[] | null {
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  return Array.isArray(schema.enum) ? schema.enum.map((value: JsonValue) => JSON.stringify(value)) : null;
}

/** Types, with integers among the numbers; null when it has none. */
function kindsOf(schema: JsonObject): string[] | null {
  const listed = valuesOf(schema);
  if (listed) return [...new Set(listed.map((text) => kindOf(JSON.parse(text))))];
  const types = typesOf(schema, []) ?? typesOfKeywords(schema);
  return types.length === 0 ? null : types.map((type) => (type === 'integer' ? 'number' : type));
}

function kindOf(value: JsonValue): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
