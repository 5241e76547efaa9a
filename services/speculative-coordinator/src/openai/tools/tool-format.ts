/**
 * How models write calls, by the family of their chat template: what the answer looks like, and the grammar of answers
 * that must call. A template that knows no tools gets a system text of ours, in the form that most models know.
 */
import { ServiceError } from '@forerunner/protocol';
import { anyOf, literal, Rules, repeated } from '../../generation/grammar/ebnf.ts';
import type { GrammarSource } from '../../generation/grammar/grammar-engine.ts';
import { type Schema, SchemaError } from '../../generation/grammar/json-schema/schema.ts';
import { schemaToRule } from '../../generation/grammar/json-schema/schema-to-ebnf.ts';
import type { Tool } from './tool-fields.ts';

export interface ToolFormat {
  /** Whether the template itself writes tools, calls and their results. */
  readonly isOfTemplate: boolean;
  /** What stands before and behind a call; '' where calls are bare JSON that begins the answer. */
  readonly opening: string;
  readonly closing: string;
  /** Between two calls of an answer; null: it has one. */
  readonly separator: string | null;
  /** The key of a call's arguments. */
  readonly argumentsKey: 'arguments' | 'parameters';
}

/** Hermes, Qwen and whatever follows them. */
const TAGGED = {
  opening: '<tool_call>\n',
  closing: '\n</tool_call>',
  separator: '\n',
  argumentsKey: 'arguments',
} as const;
/** Llama 3 writes one bare object; its marks are special tokens, which have no text. */
const LLAMA = { opening: '', closing: '', separator: null, argumentsKey: 'parameters' } as const;
/** Mistral writes a list behind a special token. */
const MISTRAL = { opening: '[', closing: ']', separator: ', ', argumentsKey: 'arguments' } as const;

/** `template`: source of the chat template. */
export function toolFormatOf(template: string): ToolFormat {
  if (!/\btools\b/.test(template)) return { ...TAGGED, isOfTemplate: false };
  if (template.includes('[TOOL_CALLS]')) return { ...MISTRAL, isOfTemplate: true };
  if (template.includes('<|python_tag|>') || /["']parameters["']\s*:/.test(template))
    return { ...LLAMA, isOfTemplate: true };
  return { ...TAGGED, isOfTemplate: true };
}

/** Most calls of one answer that must call: a small model finds no end by itself. */
const MAX_CALLS = 8;

/** The grammar of an answer that calls one of `tools`, or several. Errors: invalid_request naming the part. */
export function callsGrammar(tools: readonly Tool[], format: ToolFormat, allowsSeveral: boolean): GrammarSource {
  const rules = new Rules();
  const { opening, closing, separator, argumentsKey } = format;
  const calls = tools.map((tool) => {
    const head = literal(`{"name": ${JSON.stringify(tool.function.name)}, "${argumentsKey}": `);
    return `${head} ${argumentsRule(tool, rules)} ${literal('}')}`;
  });
  const call = rules.rule(anyOf(calls));
  // A list has its brackets once, tags stand around each call.
  const isList = opening === '[';
  const one = isList ? call : rules.rule(`${literal(opening)} ${call} ${literal(closing)}`);
  const more =
    allowsSeveral && separator !== null ? ` ${repeated(`${literal(separator)} ${one}`, 0, MAX_CALLS - 1)}` : '';
  const all = `${one}${more}`;
  return { ebnf: rules.toString(isList ? `${literal('[')} ${all} ${literal(']')}` : all), field: 'tools' };
}

function argumentsRule({ function: { name, parameters } }: Tool, rules: Rules): string {
  try {
    const schema = { type: 'object', ...(parameters ?? { properties: {}, additionalProperties: false }) };
    return schemaToRule(schema as Schema, rules);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const field = ['tools', name, 'parameters', ...error.path].join('.');
    throw new ServiceError('invalid_request', `"${field}": ${error.message}`, { field });
  }
}
