/**
 * A JSON schema as a grammar: every text of the grammar is a valid value, written in the one spelling of json-text.ts.
 * The other way round it may allow less than the schema (no properties that nobody named, a bounded number of digits).
 * What it cannot keep is refused, with its place: an answer is never merely likely to be valid.
 */
import { anyOf, literal, Rules } from '../ebnf.ts';
import { arrayEbnf } from './arrays.ts';
import { areDisjoint } from './disjoint.ts';
import { COMMA, jsonText } from './json-text.ts';
import { merged } from './merge.ts';
import { integerEbnf, numberEbnf } from './numbers.ts';
import { type Converter, objectEbnf } from './objects.ts';
import { resolveReference } from './references.ts';
import {
  hasType,
  isObject,
  type JsonObject,
  type JsonValue,
  type Placed,
  placedAt,
  REMARKS,
  refuseUnsupported,
  type Schema,
  SchemaError,
  TYPES,
  type TypeName,
  typesOf,
  typesOfKeywords,
} from './schema.ts';
import { stringEbnf } from './strings.ts';

const MAX_SCHEMAS = 4000;
const MAX_DEPTH = 100;

/** Errors: SchemaError. */
export function schemaToEbnf(schema: Schema): string {
  const rules = new Rules();
  return rules.toString(schemaToRule(schema, rules));
}

/** The rule of a schema, among others. Errors: SchemaError. */
export function schemaToRule(schema: Schema, rules: Rules): string {
  return new SchemaConverter(schema, rules).value({ schema, path: [] });
}

/** Any object, any members. */
export const anyObjectEbnf = (): string => schemaToEbnf({ type: 'object' });

class SchemaConverter implements Converter {
  readonly rules: Rules;
  readonly #root: Schema;
  /** Rules of schemas that references lead to, by where they stand. */
  readonly #referred = new Map<string, string>();
  #any: string | null = null;
  #numSchemas = 0;
  #depth = 0;

  constructor(root: Schema, rules: Rules) {
    this.#root = root;
    this.rules = rules;
  }

  value(placed: Placed): string {
    return this.#value(placed, []);
  }

  /** `open`: references that led here with nothing written since. */
  #value(placed: Placed, open: readonly string[]): string {
    const { schema, path } = placed;
    if (++this.#numSchemas > MAX_SCHEMAS) throw new SchemaError(path, `is one schema more than ${MAX_SCHEMAS}`);
    if (++this.#depth > MAX_DEPTH) throw new SchemaError(path, 'is nested too deeply');
    try {
      if (schema === true) return this.any();
      if (schema === false) throw new SchemaError(path, 'allows no value');
      return this.#object({ schema, path }, open);
    } finally {
      this.#depth--;
    }
  }

  #object(placed: { schema: JsonObject; path: readonly string[] }, open: readonly string[]): string {
    const { schema, path } = placed;
    refuseUnsupported(schema, path);
    const { $ref, allOf, anyOf: any, oneOf, ...own } = schema;
    if ($ref !== undefined) return this.#reference(placed, own, open);
    if (allOf !== undefined) return this.#allOf(placed, open);
    const keyword = any !== undefined ? 'anyOf' : 'oneOf';
    const branches = any ?? oneOf;
    if (branches === undefined) return this.#plain(schema, placed);
    const rest = keyword === 'anyOf' && oneOf !== undefined ? { ...own, oneOf } : own;
    return this.#alternatives(placed, keyword, rest, open);
  }

  #reference(
    { schema, path }: { schema: JsonObject; path: readonly string[] },
    own: JsonObject,
    open: readonly string[],
  ) {
    const place = [...path, '$ref'];
    const target = resolveReference(this.#root, schema.$ref, place);
    const name = `${schema.$ref}`;
    if (open.includes(name)) throw new SchemaError(place, 'leads back to itself');
    const { allOf, anyOf: any, oneOf } = schema;
    const beside = { ...own, ...(allOf && { allOf }), ...(any && { anyOf: any }), ...(oneOf && { oneOf }) };
    if (restricts(beside)) {
      return this.#value({ schema: { allOf: [target.schema, beside as JsonValue] }, path }, [...open, name]);
    }
    const known = this.#referred.get(name);
    if (known !== undefined) return known;
    const rule = this.rules.reserve();
    this.#referred.set(name, rule);
    this.rules.define(rule, this.#value(target, [...open, name]));
    return rule;
  }

  /** All of them at once, and what stands beside them. */
  #allOf({ schema, path }: { schema: JsonObject; path: readonly string[] }, open: readonly string[]): string {
    const { allOf, ...own } = schema;
    if (!Array.isArray(allOf) || allOf.length === 0) throw new SchemaError([...path, 'allOf'], 'must be a list');
    let joined: Schema = own;
    let opened = open;
    allOf.forEach((part: JsonValue, i: number) => {
      let placed = placedAt({ schema, path }, part, 'allOf', `${i}`);
      while (isObject(placed.schema) && placed.schema.$ref !== undefined && !restricts(omit(placed.schema, '$ref'))) {
        const name = `${placed.schema.$ref}`;
        if (opened.includes(name)) throw new SchemaError([...placed.path, '$ref'], 'leads back to itself');
        opened = [...opened, name];
        placed = resolveReference(this.#root, placed.schema.$ref, [...placed.path, '$ref']);
      }
      if (isObject(joined) && isObject(placed.schema)) {
        for (const keyword of ['anyOf', 'oneOf', 'allOf', '$ref']) {
          if (joined[keyword] !== undefined && placed.schema[keyword] !== undefined) {
            throw new SchemaError([...placed.path, keyword], 'cannot be joined with that of another schema');
          }
        }
      }
      joined = merged(joined, placed.schema, placed.path);
    });
    return this.#value({ schema: joined, path }, opened);
  }

  #alternatives(
    placed: { schema: JsonObject; path: readonly string[] },
    keyword: 'anyOf' | 'oneOf',
    own: JsonObject,
    open: readonly string[],
  ): string {
    const { schema, path } = placed;
    const branches = schema[keyword];
    const place = [...path, keyword];
    if (!Array.isArray(branches) || branches.length === 0) throw new SchemaError(place, 'must be a list');
    const schemas = branches.map((branch: JsonValue, i: number) => placedAt(placed, branch, keyword, `${i}`));
    if (keyword === 'oneOf' && !areDisjoint(schemas.map((one) => this.#resolved(one).schema))) {
      throw new SchemaError(place, 'is supported where its schemas plainly exclude each other; use anyOf');
    }
    const isRestricted = restricts(own);
    const parts = schemas.map((branch) =>
      isRestricted
        ? this.#value({ schema: { allOf: [own, branch.schema as JsonValue] }, path: branch.path }, open)
        : this.#value(branch, open),
    );
    return anyOf([...new Set(parts)]);
  }

  /** What a schema that is only a reference leads to. */
  #resolved(placed: Placed): Placed {
    let result = placed;
    for (let i = 0; i < MAX_DEPTH && isObject(result.schema) && result.schema.$ref !== undefined; i++) {
      result = resolveReference(this.#root, result.schema.$ref, [...result.path, '$ref']);
    }
    return result;
  }

  /** A schema without references and alternatives. */
  #plain(schema: JsonObject, placed: Placed): string {
    const { path } = placed;
    const types = typesOf(schema, path);
    if (schema.const !== undefined || schema.enum !== undefined) return this.#listed(schema, types, path);
    const implied = typesOfKeywords(schema);
    const all = types ?? (implied.length > 0 ? implied : TYPES.filter((type) => type !== 'integer'));
    if (!types && implied.length === 0) return this.any();
    return anyOf(all.map((type) => this.#ofType(type, schema, placed)));
  }

  #listed(schema: JsonObject, types: readonly TypeName[] | undefined, path: readonly string[]): string {
    const keyword = schema.const !== undefined ? 'const' : 'enum';
    const place = [...path, keyword];
    const beside = typesOfKeywords(schema);
    if (beside.length > 0) throw new SchemaError(place, `is not supported beside restrictions of a ${beside[0]}`);
    const listed = keyword === 'const' ? [schema.const!] : schema.enum;
    if (!Array.isArray(listed)) throw new SchemaError(place, 'must be a list');
    const allowed = listed.filter((value: JsonValue) => {
      const isOther = keyword === 'const' && Array.isArray(schema.enum) && !includes(schema.enum, value);
      return !isOther && (types === undefined || types.some((type) => hasType(value, type)));
    });
    if (allowed.length === 0) throw new SchemaError(place, 'has no value of the type');
    return this.rules.rule(anyOf(allowed.map((value: JsonValue) => literal(jsonText(value)))));
  }

  #ofType(type: TypeName, schema: JsonObject, placed: Placed): string {
    const { rules } = this;
    switch (type) {
      case 'object':
        return rules.rule(objectEbnf(schema, placed, this));
      case 'array':
        return rules.rule(arrayEbnf(schema, placed, this));
      case 'string':
        return rules.rule(stringEbnf(schema, placed.path, rules));
      case 'integer':
        return rules.rule(integerEbnf(schema, placed.path));
      case 'number':
        return rules.rule(numberEbnf(schema, placed.path));
      case 'boolean':
        return rules.rule(anyOf([literal('true'), literal('false')]));
      case 'null':
        return literal('null');
    }
  }

  any(): string {
    if (this.#any !== null) return this.#any;
    const { rules } = this;
    const value = rules.reserve();
    this.#any = value;
    const string = rules.rule(stringEbnf({}, [], rules));
    const member = rules.rule(`${string} ${literal(': ')} ${value}`);
    const list = (item: string) => `(${item} (${COMMA} ${item})*)?`;
    const object = rules.rule(`${literal('{')} ${list(member)} ${literal('}')}`);
    const array = rules.rule(`${literal('[')} ${list(value)} ${literal(']')}`);
    const number = rules.rule(numberEbnf({}, []));
    rules.define(value, anyOf([object, array, string, number, ...['true', 'false', 'null'].map(literal)]));
    return value;
  }
}

/** Whether a schema says more than remarks. */
const restricts = (schema: JsonObject): boolean =>
  Object.keys(schema).some((keyword) => keyword !== 'discriminator' && !REMARKS.includes(keyword));

const omit = (schema: JsonObject, name: string): JsonObject =>
  Object.fromEntries(Object.entries(schema).filter(([keyword]) => keyword !== name));

const includes = (values: readonly JsonValue[], value: JsonValue): boolean =>
  values.some((one) => JSON.stringify(one) === JSON.stringify(value));
