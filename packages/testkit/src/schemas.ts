/** Schemas of many kinds, with values that they must allow. */
export { randomSchema } from './random-schema.ts';

type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface SchemaCase {
  readonly schema: object;
  /** Valid values that the grammar allows. */
  readonly allows: readonly JsonValue[];
}

const string = { type: 'string' };
const integer = { type: 'integer' };
const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });
const closed = (properties: object, required = Object.keys(properties)) =>
  object(properties, { required, additionalProperties: false });
const of = (schema: object, ...allows: JsonValue[]): SchemaCase => ({ schema, allows });

export const SCHEMAS: Readonly<Record<string, SchemaCase>> = {
  anything: of({}, 1, 'a', null, [1, { a: [] }], { b: { c: true } }),
  'a title alone': of({ title: 'x', description: 'y', default: 3 }, 'z'),
  string: of(string, '', 'é ü 😀', 'a"b\\c\n\t', '/'),
  'a short string': of({ ...string, maxLength: 3 }, '', 'abc', 'ééé'),
  'a long string': of({ ...string, minLength: 2 }, 'ab', 'abcdef'),
  'a string of one length': of({ ...string, minLength: 4, maxLength: 4 }, 'abcd', '\n\n\n\n'),
  'an empty string': of({ ...string, maxLength: 0 }, ''),
  'a pattern': of({ ...string, pattern: '^[a-z]{2,3}-\\d+$' }, 'ab-1', 'xyz-123'),
  'a pattern that may stand anywhere': of({ ...string, pattern: 'b\\d' }, 'b1', 'aab2cc'),
  'a pattern with branches': of({ ...string, pattern: '^(?:red|green|b(lue|lack))$' }, 'red', 'black'),
  'a pattern with anchored branches': of({ ...string, pattern: '^ab|cd$' }, 'abx', 'xcd'),
  'a pattern with quotes and backslashes': of({ ...string, pattern: '^"[\\\\a]+"$' }, '"a\\a"'),
  'a pattern with control characters': of({ ...string, pattern: '^a[\\n\\t]b$' }, 'a\nb', 'a\tb'),
  'a pattern beyond ASCII': of({ ...string, pattern: '^[à-ÿ]+[а-я]$' }, 'éàж'),
  'a pattern that excludes': of({ ...string, pattern: '^[^a-z"]{3}$' }, 'ABC', '12é'),
  'a pattern with any character': of({ ...string, pattern: '^.{1,4}$' }, 'a', 'éé"x'),
  'a pattern with classes': of({ ...string, pattern: '^\\w+\\s\\W\\S\\D$' }, 'ab_9 .xy'),
  'a pattern within lengths': of({ ...string, pattern: '^[ab]{2,4}$', minLength: 1, maxLength: 5 }, 'ab'),
  'a pattern that a length cuts': of({ ...string, pattern: '^a*b+$', minLength: 2, maxLength: 4 }, 'ab', 'aabb'),
  'a lazy pattern with a named group': of({ ...string, pattern: '^(?<x>a+?)b??$' }, 'aab'),
  'an escaped pattern': of({ ...string, pattern: '^\\u0041\\x42\\.\\/$' }, 'AB./'),
  'a string that may be very long': of({ ...string, minLength: 1, maxLength: 4096 }, 'a', 'b'.repeat(128)),
  'a format that nobody knows': of({ ...string, format: 'isbn', maxLength: 4 }, '', 'abcd'),
  uri: of({ ...string, format: 'uri' }, 'https://example.org/a/b.html'),
  'uri-reference': of({ ...string, format: 'uri-reference' }, 'http://a.b/'),
  'uri-template': of({ ...string, format: 'uri-template' }, 'http://a.b/'),
  iri: of({ ...string, format: 'iri' }, 'https://example.org'),
  'json-pointer': of({ ...string, format: 'json-pointer' }, '', '/a/0'),
  'relative-json-pointer': of({ ...string, format: 'relative-json-pointer' }, '0', '1/a'),
  regex: of({ ...string, format: 'regex' }, 'a b'),
  byte: of({ ...string, format: 'byte' }, '', 'QUJD'),
  'an integer within 64 bits': of({ ...integer, minimum: -(2 ** 63), maximum: 2 ** 63 }, 0, -7, 123_456_789),
  'two that must hold, with remarks of their own': of(
    {
      allOf: [
        { type: 'string', 'x-note': 'a' },
        { maxLength: 2, 'x-note': 'b' },
      ],
    },
    'ab',
  ),
  date: of({ ...string, format: 'date' }, '2024-12-31', '1999-02-28'),
  time: of({ ...string, format: 'time' }, '23:59:59Z', '00:00:00.5+01:30'),
  'date-time': of({ ...string, format: 'date-time' }, '2024-01-30T12:00:00Z'),
  uuid: of({ ...string, format: 'uuid' }, '123e4567-e89b-12d3-a456-426614174000'),
  email: of({ ...string, format: 'email' }, 'jo.doe@example.org'),
  ipv4: of({ ...string, format: 'ipv4' }, '192.168.0.255'),
  ipv6: of({ ...string, format: 'ipv6' }, '1:2:3:4:5:6:7:8'),
  hostname: of({ ...string, format: 'hostname' }, 'a-b.example'),
  duration: of({ ...string, format: 'duration' }, 'P3D', 'PT12H'),
  integer: of(integer, 0, -1, 12345678),
  'an integer from 0': of({ ...integer, minimum: 0 }, 0, 7, 1000),
  'an integer in a range': of({ ...integer, minimum: 18, maximum: 120 }, 18, 99, 100, 120),
  'an integer in a negative range': of({ ...integer, minimum: -250, maximum: -7 }, -7, -10, -250),
  'an integer around zero': of({ ...integer, minimum: -5, maximum: 105 }, -5, 0, 105),
  'an integer of 32 bits': of({ ...integer, format: 'int32' }, 0, -2147483648, 2147483647),
  'an integer between open bounds': of({ ...integer, exclusiveMinimum: 9, exclusiveMaximum: 1000 }, 10, 999),
  'an integer below a broken bound': of({ ...integer, maximum: 3.5, minimum: 0.5 }, 1, 3),
  'an integer above a large bound': of({ ...integer, minimum: 1234567 }, 1234567, 2000000, 99999999),
  number: of({ type: 'number' }, 0, -1.5, 3e8, 0.001),
  'a number from 0': of({ type: 'number', minimum: 0 }, 0, 0.5, 12.25),
  'a number above 0': of({ type: 'number', exclusiveMinimum: 0 }, 0.5, 1, 12.25),
  'a probability': of({ type: 'number', minimum: 0, maximum: 1 }, 0, 1, 0.37),
  'a number in a range': of({ type: 'number', minimum: -3, maximum: 12 }, -3, -2.5, 0, 11.99, 12),
  'a number between open bounds': of({ type: 'number', exclusiveMinimum: -1, exclusiveMaximum: 1 }, 0, -0.25, 0.5),
  'a number between broken bounds': of({ type: 'number', minimum: 0.25, maximum: 3.75 }, 0.5, 1, 3.5),
  'a number in part of a cell': of({ type: 'number', minimum: 2.125, maximum: 2.5 }, 2.2, 2.125, 2.5),
  'a negative number': of({ type: 'number', exclusiveMaximum: 0 }, -1, -0.5),
  boolean: of({ type: 'boolean' }, true, false),
  null: of({ type: 'null' }, null),
  'several types': of({ type: ['string', 'null', 'integer'] }, 'a', null, 3),
  'number and integer': of({ type: ['integer', 'number'] }, 1, 1.5),
  const: of({ const: { a: [1, 'x'] } }, { a: [1, 'x'] }),
  'a const string': of({ const: 'it\'s "x"' }, 'it\'s "x"'),
  enum: of({ enum: ['red', 3, null, true, { a: 1 }, [2, 3]] }, 'red', 3, null, true, { a: 1 }, [2, 3]),
  'an enum of a type': of({ type: 'string', enum: ['a', 'b', 1] }, 'a', 'b'),
  'an object': of({ type: 'object' }, {}, { a: 1, b: 'x' }),
  'an empty object': of({ type: 'object', additionalProperties: false }, {}),
  'required properties': of(closed({ name: string, age: integer }), { name: 'A', age: 3 }),
  'optional properties': of(
    object({ a: integer, b: integer, c: integer }),
    {},
    { b: 1 },
    { a: 1, c: 2 },
    { a: 1, b: 2, c: 3 },
  ),
  'mixed properties': of(
    object({ a: integer, b: integer, c: integer, d: integer }, { required: ['b', 'd'] }),
    { b: 1, d: 2 },
    { a: 1, b: 2, c: 3, d: 4 },
  ),
  'a last required property': of(object({ a: integer, b: integer }, { required: ['b'] }), { b: 1 }, { a: 1, b: 2 }),
  'properties that need escapes': of(closed({ 'a "b"\n': integer, é: integer }), { 'a "b"\n': 1, é: 2 }),
  'a property that may not be': of(object({ a: integer, b: false }), { a: 1 }, {}),
  'a required name without a schema': of({ type: 'object', required: ['x', 'y'] }, { x: 1, y: 'a' }),
  'additional properties': of(object({ a: integer }, { additionalProperties: true }), { a: 1, b: 'x' }, { zz: null }),
  'additional integers': of(object({ ab: string, abc: string }, { additionalProperties: integer, required: ['ab'] }), {
    ab: 'x',
    a: 1,
    abcd: 2,
    b: 3,
  }),
  'a map': of({ type: 'object', additionalProperties: integer }, {}, { a: 1, b: 2 }),
  'a map with something in it': of({ type: 'object', additionalProperties: string, minProperties: 1 }, { a: 'x' }),
  'a small map': of({ type: 'object', additionalProperties: integer, maxProperties: 2 }, {}, { a: 1, b: 2 }),
  'a map of listed names': of(
    { type: 'object', propertyNames: { enum: ['x', 'y'] }, additionalProperties: integer },
    { x: 1 },
  ),
  'a map of names with a pattern': of(
    { type: 'object', propertyNames: { pattern: '^k\\d$' }, additionalProperties: integer },
    { k1: 1 },
  ),
  'a record as zod writes it': of(
    { type: 'object', propertyNames: { type: 'string' }, additionalProperties: string },
    { a: 'b' },
  ),
  'pattern properties': of(
    { type: 'object', patternProperties: { '^x_': integer }, additionalProperties: false },
    { x_a: 1 },
  ),
  'a pattern beside properties, which it also binds': of(
    {
      type: 'object',
      properties: { x_a: { minimum: 3 }, b: string },
      patternProperties: { '^x_': { type: 'integer', maximum: 9 } },
      required: ['x_a'],
    },
    { x_a: 3, b: '' },
    { x_a: 9 },
  ),
  'several patterns of the same values': of(
    { type: 'object', patternProperties: { '^x_': integer, '^y_': integer } },
    {},
    { x_a: 1 },
  ),
  'at least one of several properties': of(
    { type: 'object', properties: { a: integer, b: string }, minProperties: 1, additionalProperties: false },
    { a: 1 },
    { b: '' },
    { a: 1, b: '' },
  ),
  'at least one property, named or not': of(
    { type: 'object', properties: { a: integer }, minProperties: 1, additionalProperties: integer },
    { a: 1 },
    { c: 2 },
  ),
  'an array': of({ type: 'array' }, [], [1, 'a']),
  'an array of strings': of({ type: 'array', items: string }, [], ['a', 'b']),
  'an array with bounds': of({ type: 'array', items: integer, minItems: 1, maxItems: 3 }, [1], [1, 2, 3]),
  'an array of one length': of({ type: 'array', items: integer, minItems: 2, maxItems: 2 }, [1, 2]),
  'an empty array': of({ type: 'array', maxItems: 0 }, []),
  'an array with a least length': of({ type: 'array', items: { type: 'boolean' }, minItems: 3 }, [
    true,
    true,
    false,
    true,
  ]),
  'a tuple': of({ type: 'array', prefixItems: [string, integer], items: false, minItems: 2 }, ['a', 1]),
  'a tuple whose end may be missing': of(
    { type: 'array', prefixItems: [string, integer], items: false },
    [],
    ['a'],
    ['a', 1],
  ),
  'a tuple and more': of(
    { type: 'array', prefixItems: [string], items: integer, minItems: 3, maxItems: 4 },
    ['a', 1, 2],
    ['a', 1, 2, 3],
  ),
  'a tuple of draft 7': of({ type: 'array', items: [string, integer], additionalItems: false }, ['a', 1]),
  'a tuple that is cut': of({ type: 'array', prefixItems: [string, integer], maxItems: 1 }, ['a'], []),
  'arrays of arrays': of({ type: 'array', items: { type: 'array', items: integer } }, [[1], [], [2, 3]]),
  anyOf: of({ anyOf: [string, { type: 'null' }] }, 'a', null),
  'anyOf beside a type': of(
    { type: 'object', properties: { a: integer, b: integer }, anyOf: [{ required: ['a'] }, { required: ['b'] }] },
    { a: 1 },
    { b: 1 },
  ),
  'oneOf of types': of({ oneOf: [string, integer, { type: 'array', items: integer }] }, 'a', 1, [2]),
  'oneOf told apart by a const': of(
    { oneOf: [closed({ kind: { const: 'cat' }, lives: integer }), closed({ kind: { const: 'dog' }, name: string })] },
    { kind: 'cat', lives: 9 },
    { kind: 'dog', name: 'Rex' },
  ),
  'oneOf of references with a discriminator': of(
    {
      discriminator: { propertyName: 'type' },
      oneOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/b' }],
      $defs: {
        a: closed({ type: { enum: ['a'] }, x: integer }),
        b: closed({ type: { enum: ['b', 'c'] }, y: string }),
      },
    },
    { type: 'a', x: 1 },
    { type: 'c', y: 'z' },
  ),
  'oneOf of lists': of({ oneOf: [{ enum: ['a', 'b'] }, { enum: ['c', 4] }] }, 'a', 4),
  allOf: of(
    { allOf: [object({ a: integer }, { required: ['a'] }), object({ b: string }, { required: ['b'] })] },
    { a: 1, b: 'x' },
  ),
  'allOf with bounds': of({ type: 'integer', allOf: [{ minimum: 3 }, { maximum: 8 }, { minimum: 5 }] }, 5, 8),
  'allOf with closed properties': of(
    { allOf: [closed({ a: integer, b: integer }, []), object({ a: { minimum: 2 } })] },
    { a: 2 },
    { b: 1 },
  ),
  'allOf with types': of({ allOf: [{ type: ['string', 'number'] }, { type: ['integer', 'null'] }] }, 4),
  'allOf with a reference': of(
    { allOf: [{ $ref: '#/$defs/x' }], description: 'as pydantic writes it', $defs: { x: { enum: ['p', 'q'] } } },
    'p',
  ),
  'allOf with lists': of({ allOf: [{ enum: ['a', 'b', 'c'] }, { enum: ['b', 'c', 'd'] }] }, 'b', 'c'),
  'a reference': of({ $ref: '#/definitions/p', definitions: { p: closed({ a: integer }) } }, { a: 1 }),
  'a reference beside a remark': of(
    { properties: { p: { $ref: '#/$defs/p', description: 'x' } }, required: ['p'], $defs: { p: string } },
    { p: 'a' },
  ),
  'a reference beside a restriction': of(
    { $ref: '#/$defs/p', maxLength: 2, $defs: { p: { type: 'string', minLength: 1 } } },
    'ab',
  ),
  'a reference with escapes': of({ $ref: '#/$defs/a~1b%20c', $defs: { 'a/b c': integer } }, 3),
  'a reference to a branch': of({ anyOf: [integer, { type: 'array', items: { $ref: '#/anyOf/0' } }] }, 1, [2, 3]),
  'a list that refers to itself': of(
    {
      $ref: '#/$defs/n',
      $defs: { n: closed({ v: integer, next: { anyOf: [{ $ref: '#/$defs/n' }, { type: 'null' }] } }) },
    },
    { v: 1, next: { v: 2, next: null } },
  ),
  'a tree by the root': of(
    {
      type: 'object',
      properties: { name: string, children: { type: 'array', items: { $ref: '#' } } },
      required: ['name'],
    },
    { name: 'a', children: [{ name: 'b' }, { name: 'c', children: [] }] },
  ),
  'deeply nested objects': of(closed({ a: closed({ b: closed({ c: closed({ d: closed({ e: integer }) }) }) }) }), {
    a: { b: { c: { d: { e: 1 } } } },
  }),
  'many properties': of(
    closed(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`p${i}`, { type: 'boolean' }]))),
    Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`p${i}`, i % 2 === 0])),
  ),
  'many optional properties': of(
    closed(Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`p${i}`, integer])), []),
    {},
    { p3: 1, p24: 2 },
  ),
  'no type but properties': of({ properties: { a: integer }, required: ['a'] }, { a: 1 }),
  'no type but lengths': of({ minLength: 2, maxLength: 3 }, 'ab'),
  'no type but bounds of two': of({ minLength: 2, minimum: 3 }, 'ab', 3),
  'keywords that nobody knows': of({ type: 'integer', 'x-order': 3, propertyOrdering: ['a'] }, 1),
  'a person': of(
    closed({
      name: { ...string, minLength: 1, maxLength: 30 },
      age: { ...integer, minimum: 0, maximum: 150 },
      email: { ...string, format: 'email' },
      address: closed({
        street: string,
        zip: { ...string, pattern: '^\\d{5}$' },
        country: { enum: ['DE', 'FR', 'IT'] },
      }),
      tags: { type: 'array', items: { ...string, maxLength: 10 }, maxItems: 4 },
    }),
    {
      name: 'Ada',
      age: 36,
      email: 'ada@example.org',
      address: { street: 'x 1', zip: '12345', country: 'FR' },
      tags: ['a'],
    },
  ),
  'an extraction of events': of(
    closed({
      events: {
        type: 'array',
        items: closed({
          name: string,
          date: { ...string, format: 'date' },
          participants: { type: 'array', items: string },
        }),
      },
      confidence: { type: 'number', minimum: 0, maximum: 1 },
    }),
    { events: [{ name: 'a', date: '2024-05-01', participants: ['x', 'y'] }], confidence: 0.5 },
  ),
  'steps and a final answer': of(
    closed({ steps: { type: 'array', items: closed({ explanation: string, output: string }) }, final_answer: string }),
    { steps: [{ explanation: 'a', output: 'b' }], final_answer: 'c' },
  ),
  'a tool call': of(
    closed({
      name: { const: 'get_weather' },
      arguments: closed({ city: string, unit: { enum: ['C', 'F'] } }, ['city']),
    }),
    { name: 'get_weather', arguments: { city: 'Rome' } },
  ),
  'a user interface': of(
    {
      $defs: {
        node: closed({
          type: { enum: ['div', 'button'] },
          label: string,
          children: { type: 'array', items: { $ref: '#/$defs/node' } },
          attributes: { type: 'array', items: closed({ name: string, value: string }) },
        }),
      },
      $ref: '#/$defs/node',
    },
    {
      type: 'div',
      label: '',
      children: [{ type: 'button', label: 'x', children: [], attributes: [] }],
      attributes: [],
    },
  ),
  'a nullable property': of(
    closed({ a: { type: ['string', 'null'] }, b: { anyOf: [integer, { type: 'null' }], default: null } }),
    { a: null, b: 3 },
  ),
};

/** Schemas that are refused, and the part that the refusal names. */
export const REFUSED: Readonly<Record<string, { readonly schema: object; readonly at: string; readonly why: RegExp }>> =
  {
    not: { schema: { properties: { a: { not: string } } }, at: 'properties.a.not', why: /not supported/ },
    'a condition': { schema: { if: { type: 'string' }, else: { maxLength: 2 } }, at: 'if', why: /not supported/ },
    multiples: { schema: { type: 'number', multipleOf: 0.5 }, at: 'multipleOf', why: /not supported/ },
    'unique items': { schema: { type: 'array', uniqueItems: true }, at: 'uniqueItems', why: /not supported/ },
    'an unknown type': { schema: { type: 'text' }, at: 'type', why: /one or several of object/ },
    'a least length beyond what is counted': {
      schema: { type: 'string', minLength: 129 },
      at: 'minLength',
      why: /at most 128/,
    },
    'patterns of different values': {
      schema: { type: 'object', patternProperties: { '^a': integer, b: string } },
      at: 'patternProperties',
      why: /several patterns/,
    },
    'more properties than it names': {
      schema: { properties: { a: integer }, minProperties: 2 },
      at: 'minProperties',
      why: /more than is required/,
    },
    lookahead: { schema: { type: 'string', pattern: '^(?!a)b' }, at: 'pattern', why: /lookaround .* at character 4/ },
    'a backreference': { schema: { type: 'string', pattern: '(a)\\1' }, at: 'pattern', why: /"\\1"/ },
    'an anchor inside': { schema: { type: 'string', pattern: 'a^b' }, at: 'pattern', why: /anchor in the middle/ },
    'a broken pattern': { schema: { type: 'string', pattern: 'a(' }, at: 'pattern', why: /unmatched "\("/ },
    'a pattern of other lengths': {
      schema: { type: 'string', pattern: '^a{5}$', maxLength: 3 },
      at: 'pattern',
      why: /no text matches/,
    },
    'a reference outwards': { schema: { $ref: 'http://example.org/x' }, at: '$ref', why: /the same schema/ },
    'a reference to nothing': { schema: { $ref: '#/$defs/x' }, at: '$ref', why: /there is no schema/ },
    'first items beside items': {
      schema: { allOf: [{ prefixItems: [string] }, { items: integer }] },
      at: 'allOf.1.items',
      why: /first items/,
    },
    'names of properties beside properties': {
      schema: { properties: { a: integer }, propertyNames: { pattern: '^b' }, additionalProperties: false },
      at: 'propertyNames',
      why: /beside properties/,
    },
    'a reference that is badly encoded': { schema: { $ref: '#/%' }, at: '$ref', why: /there is no schema/ },
    'a pattern that is too much': {
      schema: { type: 'string', pattern: '^([a-z]{1,60}){1,60}$' },
      at: 'pattern',
      why: /states|repetitions/,
    },
    'a reference to itself': {
      schema: { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } },
      at: '$defs.a.$ref',
      why: /back to itself/,
    },
    'a choice of itself': { schema: { anyOf: [string, { $ref: '#' }] }, at: 'anyOf.1.$ref', why: /back to itself/ },
    'oneOf that overlaps': {
      schema: { oneOf: [string, { type: 'string', maxLength: 3 }] },
      at: 'oneOf',
      why: /use anyOf/,
    },
    'bounds the wrong way round': {
      schema: { type: 'integer', minimum: 3, maximum: 2 },
      at: '',
      why: /no whole number/,
    },
    'lengths the wrong way round': {
      schema: { type: 'string', minLength: 3, maxLength: 2 },
      at: 'maxLength',
      why: /at least minLength/,
    },
    'a negative length': { schema: { type: 'string', maxLength: -1 }, at: 'maxLength', why: /whole number/ },
    'nothing at all': {
      schema: { properties: { a: false }, required: ['a'] },
      at: 'properties.a',
      why: /nothing is allowed/,
    },
    'an empty choice': { schema: { anyOf: [] }, at: 'anyOf', why: /a list/ },
    'an empty list': { schema: { enum: [] }, at: 'enum', why: /no value/ },
    'types that exclude each other': {
      schema: { allOf: [string, integer] },
      at: 'allOf.1.type',
      why: /nothing in common/,
    },
    'a schema that is none': { schema: { properties: { a: 3 } }, at: 'properties.a', why: /must be a schema/ },
  };
