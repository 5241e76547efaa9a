/** Fields that demand something of an answer: OpenAI's `response_format`, and vLLM's, older and newer. */
import { structuredOutputsFields, structuredOutputsSchema } from '@forerunner/protocol';
import { z } from 'zod';
import type { GrammarSource } from '../generation/grammar/grammar-engine.ts';
import { anyObject, choiceOf, jsonOf, regexOf, structuredOutput } from '../generation/grammar/structured-output.ts';

export const jsonSchemaFields = {
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ -'),
  description: z.string().nullish(),
  schema: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
};

const responseFormatSchema = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({
      type: z.literal('json_schema'),
      json_schema: z.strictObject(jsonSchemaFields),
    }),
  ],
  { error: 'must have the type text, json_object or json_schema' },
);

const { json, regex, choice, grammar } = structuredOutputsFields;
const older = (name: string) => `Older name of structured_outputs.${name}.`;

export const structuredFields = {
  response_format: responseFormatSchema
    .nullish()
    .describe('json_object: the answer is a JSON object; json_schema: a value of that schema, strict or not.'),
  structured_outputs: structuredOutputsSchema
    .nullish()
    .describe('What the answer must match: exactly one of json, regex, choice, grammar and json_object.'),
  guided_json: json.nullable().describe(older('json')),
  guided_regex: regex.nullable().describe(older('regex')),
  guided_choice: choice.nullable().describe(older('choice')),
  guided_grammar: grammar.nullable().describe(older('grammar')),
};

export type StructuredFields = {
  [Field in keyof typeof structuredFields]?: z.output<(typeof structuredFields)[Field]>;
};

const demandsOf = (body: StructuredFields): (keyof StructuredFields)[] =>
  (Object.keys(structuredFields) as (keyof StructuredFields)[]).filter(
    (field) => body[field] != null && !(field === 'response_format' && body.response_format?.type === 'text'),
  );

export const demandsStructure = (body: StructuredFields): boolean => demandsOf(body).length > 0;

export const oneStructuredField = [
  (body: StructuredFields): boolean => demandsOf(body).length <= 1,
  {
    error: 'give one of response_format, structured_outputs and guided_*, not several',
    path: ['structured_outputs'] as PropertyKey[],
  },
] as const;

/** undefined: the answer is free. Errors: invalid_request naming the part of `field`. */
export function formatGrammar(
  type: 'text' | 'json_object' | 'json_schema' | undefined,
  { field, schema }: { readonly field: string; readonly schema?: object | null | undefined },
): GrammarSource | undefined {
  if (type === undefined || type === 'text') return undefined;
  return schema ? jsonOf(schema, field) : anyObject(field);
}

/** undefined: the answer is free. Errors: invalid_request naming the part. */
export function structuredGrammar(body: StructuredFields): GrammarSource | undefined {
  const { response_format: format } = body;
  if (format?.type === 'json_schema')
    return formatGrammar(format.type, {
      field: 'response_format.json_schema.schema',
      schema: format.json_schema.schema,
    });
  if (format?.type === 'json_object') return formatGrammar(format.type, { field: 'response_format' });
  if (body.structured_outputs != null) return structuredOutput(body.structured_outputs, 'structured_outputs.');
  if (body.guided_json != null) return structuredOutput({ json: body.guided_json }, 'guided_');
  if (body.guided_regex != null) return regexOf(body.guided_regex, 'guided_regex');
  if (body.guided_choice != null) return choiceOf(body.guided_choice, 'guided_choice');
  if (body.guided_grammar != null) return { ebnf: body.guided_grammar, field: 'guided_grammar' };
  return undefined;
}
