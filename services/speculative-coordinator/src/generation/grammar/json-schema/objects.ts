/** Objects: the named properties in their order, each at most once, then additional ones where the schema asks for them. */
import { characterWays } from '../character-class.ts';
import { anyOf, literal, type Rules, repeated } from '../ebnf.ts';
import { contains, without } from '../regex/code-points.ts';
import { COMMA, key, QUOTE, RAW_CHARACTERS, restOfString } from './json-text.ts';
import { countOf, isObject, type JsonObject, type JsonValue, type Placed, placedAt, SchemaError } from './schema.ts';
import { restOfStringEbnf } from './strings.ts';

/** What an object needs of whoever converts the schemas of its members. */
export interface Converter {
  readonly rules: Rules;
  /** Grammar of any JSON value. */
  any(): string;
  /** Grammar of the values of a schema. */
  value(placed: Placed): string;
}

interface Property {
  readonly name: string;
  readonly isRequired: boolean;
  readonly placed: Placed;
}

export function objectEbnf(schema: JsonObject, placed: Placed, converter: Converter): string {
  const { path } = placed;
  const properties = propertiesOf(schema, placed).filter(({ placed: { schema: value }, name, isRequired }) => {
    if (value !== false) return true;
    if (isRequired) throw new SchemaError([...path, 'properties', name], 'is required, and nothing is allowed there');
    return false;
  });
  const additional = additionalMember(schema, placed, properties, converter);
  checkCounts(schema, path, properties, additional !== null);
  const { rules } = converter;
  const member = ({ name, placed: value }: Property) => `${key(name)} ${converter.value(value)}`;

  // From the last property to the first: what may follow once something stands before it, and while nothing does.
  const maxExtra = countOf(schema, 'maxProperties', path) ?? null;
  let rest = additional === null ? '""' : `(${COMMA} ${additional})*`;
  const min = Math.min(1, countOf(schema, 'minProperties', path) ?? 0);
  let start =
    additional === null
      ? min === 0
        ? '""'
        : null
      : repeatedMembers(additional, min, properties.length === 0 ? maxExtra : null);
  for (const property of properties.toReversed()) {
    const written = rules.rule(member(property));
    const afterwards = rest === '""' ? '' : ` ${rules.rule(rest)}`;
    const begins = `${written}${afterwards}`;
    start = property.isRequired || start === null ? begins : anyOf([begins, start]);
    rest = property.isRequired ? `${COMMA} ${written}${afterwards}` : `(${COMMA} ${written})?${afterwards}`;
  }
  return `${literal('{')} ${start} ${literal('}')}`;
}

function repeatedMembers(member: string, min: number, max: number | null): string {
  if (max === 0) return '""';
  const all = `${member} ${repeated(`${COMMA} ${member}`, 0, max === null ? null : max - 1)}`;
  return min > 0 ? all : `(${all})?`;
}

function propertiesOf(schema: JsonObject, placed: Placed): Property[] {
  const { path } = placed;
  const { properties = {}, required = [] } = schema;
  if (!isObject(properties)) throw new SchemaError([...path, 'properties'], 'must be an object');
  if (!Array.isArray(required) || !required.every((name) => typeof name === 'string')) {
    throw new SchemaError([...path, 'required'], 'must be a list of names');
  }
  const isRequired = new Set<string>(required);
  const named = Object.keys(properties).map((name) => {
    const own = placedAt(placed, properties[name], 'properties', name);
    const patterns = matchingPatterns(schema, name, path);
    const value = patterns.length === 0 ? own : { ...own, schema: { allOf: [own.schema as JsonValue, ...patterns] } };
    return { name, isRequired: isRequired.has(name), placed: value };
  });
  const { additionalProperties = true } = schema;
  const unnamed = [...isRequired].filter((name) => !Object.hasOwn(properties, name));
  return [
    ...named,
    ...unnamed.map((name) => {
      if (schema.patternProperties !== undefined) {
        throw new SchemaError([...path, 'required'], `names "${name}", which is not among properties`);
      }
      return { name, isRequired: true, placed: placedAt(placed, additionalProperties, 'additionalProperties') };
    }),
  ];
}

/**
 * An additional member: key and value. null: there are none. Where properties are named and nothing is said of others
 * there are none, too: JSON Schema would allow them, and no answer is the worse without.
 */
function additionalMember(
  schema: JsonObject,
  placed: Placed,
  properties: readonly Property[],
  converter: Converter,
): string | null {
  const { path } = placed;
  const { patternProperties, propertyNames, additionalProperties } = schema;
  if (patternProperties !== undefined) return patternMember(schema, placed, properties, converter);
  if (properties.length > 0 && !isAnyName(propertyNames)) {
    throw new SchemaError([...path, 'propertyNames'], 'is not supported beside properties');
  }
  const allowed = additionalProperties ?? properties.length === 0;
  if (allowed === false) return null;
  const value = placedAt(placed, allowed, 'additionalProperties');
  const names = keyText(propertyNames, [...path, 'propertyNames'], properties, converter.rules);
  return converter.rules.rule(`${QUOTE} ${names} ${literal(': ')} ${converter.value(value)}`);
}

/** The rest of a key, behind its opening quote. */
function keyText(names: unknown, path: readonly string[], properties: readonly Property[], rules: Rules): string {
  if (isAnyName(names)) {
    return properties.length === 0
      ? restOfString(rules, 0, null)
      : keyExcept(
          properties.map(({ name }) => name),
          rules,
        );
  }
  if (!isObject(names)) throw new SchemaError(path, 'allows no name');
  if (Array.isArray(names.enum)) return anyOf(names.enum.map((name) => literal(JSON.stringify(name).slice(1))));
  return restOfStringEbnf(names, path, rules);
}

const isAnyName = (names: unknown): boolean =>
  names === undefined ||
  names === true ||
  (isObject(names) && Object.keys(names).every((keyword) => keyword === 'type' && names.type === 'string'));

/** Schemas of the patterns that a name matches: its value must be of them, too. */
function matchingPatterns({ patternProperties }: JsonObject, name: string, path: readonly string[]): JsonValue[] {
  if (!isObject(patternProperties)) return [];
  return Object.entries(patternProperties)
    .filter(([pattern]) => {
      try {
        return new RegExp(pattern, 'u').test(name);
      } catch {
        throw new SchemaError([...path, 'patternProperties', pattern], 'is not a regular expression');
      }
    })
    .map(([, value]) => value);
}

/** Members whose keys match a pattern. Beside properties there are none: no answer is the worse without. */
function patternMember(
  schema: JsonObject,
  placed: Placed,
  properties: readonly Property[],
  converter: Converter,
): string | null {
  const path = [...placed.path, 'patternProperties'];
  const { patternProperties } = schema;
  if (!isObject(patternProperties)) throw new SchemaError(path, 'must be an object');
  const [pattern, ...others] = Object.keys(patternProperties);
  if (properties.length > 0 || pattern === undefined) return null;
  // A key may match several patterns.
  const isOne = others.every(
    (other) => JSON.stringify(patternProperties[other]) === JSON.stringify(patternProperties[pattern]),
  );
  if (!isOne) throw new SchemaError(path, 'is supported with several patterns where their schemas are the same');
  const names = restOfStringEbnf({ pattern }, path, converter.rules);
  const value = placedAt(placed, patternProperties[pattern], 'patternProperties', pattern);
  if (value.schema === false) return null;
  return converter.rules.rule(`${QUOTE} ${names} ${literal(': ')} ${converter.value(value)}`);
}

/** The rest of keys that are none of these names, without escapes, so that no name can be written in another way. */
function keyExcept(names: readonly string[], rules: Rules): string {
  const loop = (name: string) => [QUOTE, ...characterWays(RAW_CHARACTERS).map((way) => `${way} ${name}`)].join(' | ');
  const anything = rules.named('key', loop);
  const from = (rests: readonly string[]): string => {
    const byFirst = Map.groupBy(
      rests.filter((rest) => rest !== ''),
      (rest) => String.fromCodePoint(rest.codePointAt(0)!),
    );
    const taken = [...byFirst.keys()].map((first) => first.codePointAt(0)!);
    const others = without(
      RAW_CHARACTERS,
      taken.map((codePoint) => [codePoint, codePoint] as const),
    );
    const branches = [...byFirst]
      .filter(([first]) => contains(RAW_CHARACTERS, first.codePointAt(0)!))
      .map(([first, group]) => `${literal(first)} ${from(group.map((rest) => rest.slice(first.length)))}`);
    const all = [...characterWays(others).map((way) => `${way} ${anything}`), ...branches];
    return rules.rule((rests.includes('') ? all : [QUOTE, ...all]).join(' | '));
  };
  return from(names);
}

function checkCounts(schema: JsonObject, path: readonly string[], properties: readonly Property[], hasMore: boolean) {
  const numRequired = properties.filter(({ isRequired }) => isRequired).length;
  const min = countOf(schema, 'minProperties', path) ?? 0;
  const max = countOf(schema, 'maxProperties', path);
  const isMap = properties.length === 0 && hasMore;
  const isAny = properties.length > 0 || hasMore;
  if (min > Math.max(numRequired, isAny ? 1 : 0)) {
    throw new SchemaError([...path, 'minProperties'], 'is not supported where it asks for more than is required');
  }
  if (max !== undefined && !isMap && (hasMore || max < properties.length)) {
    throw new SchemaError([...path, 'maxProperties'], 'is not supported beside properties that could be more');
  }
}
