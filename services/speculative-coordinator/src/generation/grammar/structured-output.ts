/** What a request can demand of its answer, in whichever field, as the source of a grammar. */
import { ServiceError, type StructuredOutputs } from '@forerunner/protocol';
import { characterWays } from './character-class.ts';
import { anyOf, literal, Rules } from './ebnf.ts';
import type { GrammarSource } from './grammar-engine.ts';
import { isObject, type Schema, SchemaError } from './json-schema/schema.ts';
import { anyObjectEbnf, schemaToEbnf } from './json-schema/schema-to-ebnf.ts';
import { RegexError } from './regex/parse-regex.ts';
import { regexToEbnf, type Spelling } from './regex/regex-to-ebnf.ts';

const RAW: Spelling = { ways: characterWays, end: '""' };

export const anyObject = (field: string): GrammarSource => ({ ebnf: anyObjectEbnf(), field });

/** Errors: invalid_request naming the part of the schema that is at fault. */
export function jsonOf(schema: unknown, field: string): GrammarSource {
  if (typeof schema !== 'boolean' && !isObject(schema)) throw invalid(field, 'must be a JSON schema');
  try {
    return { ebnf: schemaToEbnf(schema as Schema), field };
  } catch (error) {
    if (error instanceof SchemaError) throw invalid([field, ...error.path].join('.'), error.message);
    if (error instanceof RangeError) throw invalid(field, 'is nested too deeply');
    throw error;
  }
}

/** The whole answer matches. Errors: invalid_request. */
export function regexOf(pattern: string, field: string): GrammarSource {
  try {
    const rules = new Rules();
    const root = regexToEbnf(pattern, rules, { isSearch: false, spelling: RAW, min: 0, max: null });
    return { ebnf: rules.toString(root), field };
  } catch (error) {
    if (error instanceof RegexError) throw invalid(field, `is not supported: ${error.message}`);
    throw error;
  }
}

export const choiceOf = (choices: readonly string[], field: string): GrammarSource => ({
  ebnf: `root ::= ${anyOf([...new Set(choices)].map(literal))}`,
  field,
});

/** One of vLLM's ways to say it. `prefix` is the field that holds them. Errors: invalid_request. */
export function structuredOutput(wanted: StructuredOutputs, prefix: string): GrammarSource {
  const { json, regex, choice, grammar } = wanted;
  if (json !== undefined)
    return jsonOf(typeof json === 'string' ? parsed(json, `${prefix}json`) : json, `${prefix}json`);
  if (regex !== undefined) return regexOf(regex, `${prefix}regex`);
  if (choice !== undefined) return choiceOf(choice, `${prefix}choice`);
  if (grammar !== undefined) return { ebnf: grammar, field: `${prefix}grammar` };
  return anyObject(`${prefix}json_object`);
}

function parsed(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(field, 'is no JSON');
  }
}

const invalid = (field: string, why: string) => new ServiceError('invalid_request', `"${field}": ${why}`, { field });
