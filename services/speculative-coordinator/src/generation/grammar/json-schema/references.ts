/** References within one schema: JSON pointers from its root (RFC 6901). */
import { isObject, type JsonValue, type Placed, type Schema, SchemaError } from './schema.ts';

/** Errors: SchemaError at `place`, where the reference stands. */
export function resolveReference(root: Schema, reference: JsonValue | undefined, place: readonly string[]): Placed {
  if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference)) {
    throw new SchemaError(place, 'must point into the same schema, as in "#/$defs/name"');
  }
  const keys = pointerOf(reference)
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  let part: JsonValue | undefined = root as JsonValue;
  for (const key of keys) {
    part = Array.isArray(part) || isObject(part) ? (part as Record<string, JsonValue>)[key] : undefined;
  }
  if (typeof part === 'boolean' || isObject(part)) return { schema: part, path: keys };
  throw new SchemaError(place, `points to "${reference}", where there is no schema`);
}

/** As it stands where it is not well encoded: nothing has such a name. */
function pointerOf(reference: string): string {
  try {
    return decodeURIComponent(reference.slice(1));
  } catch {
    return reference.slice(1);
  }
}
