/** Every text of a schema's grammar is a value of the schema, by another implementation's judgement (Ajv). */
import { CounterRng } from '@forerunner/sampling';
import { REFUSED, randomSchema, SCHEMAS } from '@forerunner/testkit/schemas';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { beforeAll, describe, expect, it } from 'vitest';
import { jsonText } from '../../src/generation/grammar/json-schema/json-text.ts';
import { type Schema, SchemaError } from '../../src/generation/grammar/json-schema/schema.ts';
import { schemaToEbnf } from '../../src/generation/grammar/json-schema/schema-to-ebnf.ts';
import type { GrammarHost } from '../../src/generation/grammar/thread/grammar-host.ts';
import { accepts, drawText, openHost } from './matching.ts';

const NUM_TEXTS = 2;

const ajv = new Ajv2020({ strict: false, logger: false });
addFormats.default(ajv);

function validator(schema: object): (value: unknown) => boolean {
  // Lists of schemas were called items before 2020-12.
  const { items, additionalItems, ...rest } = schema as { items?: unknown; additionalItems?: unknown };
  return ajv.compile(Array.isArray(items) ? { ...rest, prefixItems: items, items: additionalItems } : schema);
}

let host: GrammarHost;
beforeAll(async () => {
  host = await openHost();
});

function uniformsOf(seed: number): () => number {
  const rng = new CounterRng(seed);
  let i = 0;
  return () => rng.uniform(1, i++);
}

async function drawTexts(schema: object, seed: number): Promise<string[]> {
  const ebnf = schemaToEbnf(schema as Schema);
  const uniform = uniformsOf(seed);
  const texts: string[] = [];
  for (let i = 0; i < NUM_TEXTS; i++) {
    const text = await drawText(host, ebnf, uniform, 150);
    if (text !== null) texts.push(text);
  }
  return texts;
}

let numDrawn = 0;

describe.each(Object.entries(SCHEMAS))('%s', (_name, { schema, allows }) => {
  it('has texts that are valid, every one', async () => {
    const isValid = validator(schema);
    const texts = await drawTexts(schema, 1);
    numDrawn += texts.length;
    expect(texts.filter((text) => !isValid(JSON.parse(text)))).toEqual([]);
  });

  it('allows what it must', async () => {
    const ebnf = schemaToEbnf(schema as Schema);
    const isValid = validator(schema);
    for (const value of allows) {
      expect([jsonText(value), isValid(value), await accepts(host, ebnf, jsonText(value))]).toEqual([
        jsonText(value),
        true,
        true,
      ]);
    }
  });
});

describe('schemas', () => {
  it('were nearly all drawn to the end of a text', () => {
    expect(numDrawn).toBeGreaterThan(0.7 * NUM_TEXTS * Object.keys(SCHEMAS).length);
  });

  it('at random, are compiled to valid texts or refused with a place', async () => {
    let numCompiled = 0;
    for (let seed = 990; seed < 1040; seed++) {
      const schema = randomSchema(seed);
      try {
        const isValid = validator(schema);
        const texts = await drawTexts(schema, seed);
        numCompiled++;
        expect([schema, texts.filter((text) => !isValid(JSON.parse(text)))]).toEqual([schema, []]);
      } catch (error) {
        if (!(error instanceof SchemaError)) throw error;
      }
    }
    expect(numCompiled).toBeGreaterThan(25);
  });
});

describe.each(Object.entries(REFUSED))('%s', (_name, { schema, at, why }) => {
  it('is refused where it stands', () => {
    const refusal = () => {
      try {
        return schemaToEbnf(schema as Schema);
      } catch (error) {
        if (!(error instanceof SchemaError)) throw error;
        return { at: error.path.join('.'), message: error.message };
      }
    };
    expect(refusal()).toEqual({ at, message: expect.stringMatching(why) });
  });
});
