/** A JSON schema on its way to a grammar: where in it one is, and the error that names that place. */

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type JsonObject = { readonly [key: string]: JsonValue };
export type Schema = boolean | JsonObject;

/** A schema that is no schema, or asks for what a grammar cannot give. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  /** Keys that lead to the part that is at fault. */
  readonly path: readonly string[];

  constructor(path: readonly string[], message: string) {
    super(message);
    this.path = path;
  }
}

/** Keywords that restrict nothing: remarks, and what the place of a schema means. */
export const REMARKS: readonly string[] = [
  'title',
  'description',
  'default',
  'examples',
  '$comment',
  '$schema',
  '$id',
  '$defs',
  'definitions',
  'deprecated',
  'readOnly',
  'writeOnly',
];

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A schema, and where it stands. */
export interface Placed {
  readonly schema: Schema;
  readonly path: readonly string[];
}

export function placedAt({ path }: Placed, schema: JsonValue | undefined, ...keys: string[]): Placed {
  const place = [...path, ...keys];
  if (typeof schema !== 'boolean' && !isObject(schema)) {
    throw new SchemaError(place, 'must be a schema: an object or a boolean');
  }
  return { schema, path: place };
}

/** A whole number from 0 that a keyword holds; undefined where it is absent. */
export function countOf(schema: JsonObject, keyword: string, path: readonly string[]): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new SchemaError([...path, keyword], 'must be a whole number from 0');
  }
  return value as number;
}

export const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type TypeName = (typeof TYPES)[number];

const KEYWORDS_OF: Partial<Record<TypeName, readonly string[]>> = {
  object: [
    'properties',
    'required',
    'additionalProperties',
    'patternProperties',
    'propertyNames',
    'minProperties',
    'maxProperties',
  ],
  array: ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems'],
  string: ['pattern', 'format', 'minLength', 'maxLength'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};

/** Keywords of these types, for schemas that name no type. */
export const typesOfKeywords = (schema: JsonObject): TypeName[] =>
  TYPES.filter((type) => KEYWORDS_OF[type]?.some((keyword) => schema[keyword] !== undefined));

/** Keywords that restrict a value and that no grammar here expresses. All that is not known restricts nothing. */
const UNSUPPORTED = [
  'not',
  'if',
  'then',
  'else',
  'contains',
  'minContains',
  'maxContains',
  'dependencies',
  'dependentRequired',
  'dependentSchemas',
  'unevaluatedItems',
  'unevaluatedProperties',
  '$dynamicRef',
  '$recursiveRef',
];

const RESTRICTIONS = new Set<string>([
  ...Object.values(KEYWORDS_OF).flat(),
  ...UNSUPPORTED,
  ...['type', 'enum', 'const', 'uniqueItems', 'anyOf', 'allOf', 'oneOf', '$ref'],
]);

/** Whether a keyword may restrict a value; others are remarks, whoever invented them. */
export const isRestriction = (keyword: string): boolean => RESTRICTIONS.has(keyword);

export function refuseUnsupported(schema: JsonObject, path: readonly string[]): void {
  const keyword = UNSUPPORTED.find((name) => schema[name] !== undefined);
  if (keyword !== undefined) throw new SchemaError([...path, keyword], 'is not supported by the grammar');
  if (schema.uniqueItems === true) throw new SchemaError([...path, 'uniqueItems'], 'is not supported by the grammar');
}

/** The types that a schema allows; undefined when it names none. Integers are numbers: "integer" beside "number" goes. */
export function typesOf(schema: JsonObject, path: readonly string[]): TypeName[] | undefined {
  const { type } = schema;
  if (type === undefined) return undefined;
  const names = Array.isArray(type) ? (type as readonly JsonValue[]) : [type];
  const isKnown = (name: JsonValue): name is TypeName => TYPES.includes(name as TypeName);
  if (names.length === 0 || !names.every(isKnown)) {
    throw new SchemaError([...path, 'type'], `must be one or several of ${TYPES.join(', ')}`);
  }
  const known = [...new Set(names as readonly TypeName[])];
  return known.includes('number') ? known.filter((name) => name !== 'integer') : known;
}

export function hasType(value: JsonValue, type: TypeName): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    case 'string':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
  }
}
