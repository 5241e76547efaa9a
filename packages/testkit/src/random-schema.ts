/** Schemas at random, by seed: most of them sound, some with what no grammar has. */
import { CounterRng } from '@forerunner/sampling';

export function randomSchema(seed: number): object {
  const rng = new CounterRng(seed);
  let i = 0;
  const below = (n: number): number => Math.ceil(rng.uniform(7, i++) * n) - 1;
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const maybe = (share: number): boolean => rng.uniform(7, i++) < share;

  const scalar = (): object => {
    const low = below(400) - 200;
    return pick<() => object>([
      () => ({ type: 'string' }),
      () => ({ type: 'string', minLength: below(3), maxLength: 3 + below(20) }),
      () => ({
        type: 'string',
        pattern: pick(['^[a-c]+$', '^\\d{1,3}$', 'x', '^(a|bc)*$', '^[^"\\\\]{2}$', '^é?.$', '(?=a)']),
      }),
      () => ({ type: 'string', format: pick(['date', 'time', 'uuid', 'ipv4', 'email', 'iri']) }),
      () => ({ type: 'integer' }),
      () => ({ type: 'integer', minimum: low, maximum: low + below(3000) }),
      () => ({ type: 'integer', exclusiveMinimum: low / 4 }),
      () => ({ type: 'number', minimum: low / 8, maximum: low / 8 + below(50) / 4 }),
      () => ({ type: 'number', exclusiveMinimum: low, exclusiveMaximum: low + 1 + below(9) }),
      () => ({ type: 'number', exclusiveMaximum: low / 10 }),
      () => ({ type: 'number', multipleOf: pick([1, 3]) }),
      () => ({ type: pick([['string', 'null'], 'boolean', 'null', ['integer', 'boolean']]) }),
      () => ({
        enum: pick([
          ['a', 'b'],
          [1, null, { x: [1] }],
          ['é"\\', '\n'],
        ]),
      }),
      () => ({ const: pick([0, '', [], { a: 1 }]) }),
    ])();
  };
  const names = ['a', 'b', 'ab', 'a b', 'é', '"', 'name', 'nam'];
  const schema = (depth: number): object => {
    if (depth === 0 || maybe(0.3)) return scalar();
    return pick<() => object>([
      () => objectOf(depth),
      () => objectOf(depth),
      () => ({ type: 'array', items: schema(depth - 1), minItems: below(3), maxItems: 1 + below(4) }),
      () => ({ type: 'array', prefixItems: [schema(depth - 1), scalar()], items: pick<unknown>([false, scalar()]) }),
      () => ({ anyOf: [schema(depth - 1), scalar()] }),
      () => ({ oneOf: [objectOf(depth), { type: pick(['array', 'object', 'null']) }] }),
      () => ({ allOf: [objectOf(depth), objectOf(depth)] }),
      () => ({ $ref: '#/$defs/t' }),
      () => ({ type: 'object', additionalProperties: scalar(), ...(maybe(0.3) && { minProperties: below(3) }) }),
    ])();
  };
  const objectOf = (depth: number): object => {
    const own = names.filter(() => maybe(0.3));
    return {
      type: 'object',
      properties: Object.fromEntries(own.map((name) => [name, schema(depth - 1)])),
      required: own.filter(() => maybe(0.6)),
      ...(maybe(0.6) && { additionalProperties: pick<unknown>([false, false, true, scalar()]) }),
      ...(maybe(0.05) && { not: { required: ['z'] } }),
    };
  };
  return { ...schema(3), $defs: { t: scalar() } };
}
