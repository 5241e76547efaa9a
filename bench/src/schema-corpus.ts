/**
 * `node bench/src/schema-corpus.ts --corpus FOLDER`: answers that must match schemas that people wrote, by a list of names
 * (schema-corpus.txt: 300 of JSONSchemaBench's, drawn at random). How many schemas are refused and by which keyword; of the
 * answers that ended by themselves, how many are valid; and how many differ from the target alone, greedy and coupled.
 *
 *   git clone https://github.com/guidance-ai/jsonschemabench
 *   node bench/src/schema-corpus.ts --corpus jsonschemabench/data [--from 0] [--to 300] [--tokens 96] [--parallel 4]
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { postGenerate, startTrio } from '@forerunner/testkit';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { PROMPTS } from './prompts.ts';

const { values } = parseArgs({
  options: {
    corpus: { type: 'string' },
    from: { type: 'string', default: '0' },
    to: { type: 'string', default: '300' },
    tokens: { type: 'string', default: '96' },
    parallel: { type: 'string', default: '4' },
  },
});
if (values.corpus === undefined) throw new Error('--corpus FOLDER is needed: the folder data of JSONSchemaBench');
const corpus = values.corpus;
const names = readFileSync(join(import.meta.dirname, 'schema-corpus.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));
const waiting = [...names.entries()].slice(Number(values.from), Number(values.to));

type Json = Record<string, unknown>;
const counts = { schemas: 0, refused: 0, answers: 0, valid: 0, invalid: 0, cut: 0, unjudged: 0, failed: 0 };
const differing = { greedy: 0, coupled: 0 };
const refusals = new Map<string, number>();

const trio = await startTrio({
  target: '135m',
  draft: '135m-feature-draft',
  env: { LOG_LEVEL: 'warn' },
  coordinatorEnv: { DRAFT_TIMEOUT_MS: '10000', GRAMMAR_COMPILE_TIMEOUT_MS: '30000' },
});
try {
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await trySchema(...next);
  };
  await Promise.all(Array.from({ length: Number(values.parallel) }, worker));
} finally {
  await trio.stop();
}
console.log(JSON.stringify({ ...counts, differing }));
console.log(JSON.stringify(Object.fromEntries([...refusals].sort(([, a], [, b]) => b - a))));

async function trySchema(index: number, name: string): Promise<void> {
  const schema = JSON.parse(readFileSync(join(corpus, name), 'utf8')) as Json;
  const isValid = validatorOf(schema);
  counts.schemas++;
  for (const temperature of [0, 0.8]) {
    const body = {
      prompt: `${PROMPTS[index % PROMPTS.length]}\nAs JSON:\n`,
      structured_outputs: { json: schema },
      temperature,
      seed: index,
      max_new_tokens: Number(values.tokens),
    };
    const reply = await postGenerate(trio.coordinator.url, body);
    const answer = (await reply.json()) as { text: string; finish_reason: string; error?: { message: string } };
    if (reply.status === 400) {
      counts.refused++;
      const why = answer.error!.message.replace(/"structured_outputs\.json\.?([^"]*)"/, (_, path: string) =>
        lastKey(path),
      );
      refusals.set(why.replace(/\d+/g, 'N'), (refusals.get(why.replace(/\d+/g, 'N')) ?? 0) + 1);
      return;
    }
    if (reply.status !== 200) {
      counts.failed++;
      console.log('failed:', name, reply.status, JSON.stringify(answer));
      return;
    }
    counts.answers++;
    if (answer.finish_reason === 'length') counts.cut++;
    else if (isValid === null) counts.unjudged++;
    else if (isValid(JSON.parse(answer.text))) counts.valid++;
    else {
      counts.invalid++;
      console.log('invalid:', name, answer.text);
    }
    const alone = (await (await postGenerate(trio.coordinator.url, { ...body, speculative: false })).json()) as Json;
    if (alone.text === answer.text) continue;
    differing[temperature === 0 ? 'greedy' : 'coupled']++;
    console.log('differs:', name, temperature, JSON.stringify([answer.text, alone.text]));
  }
}

function lastKey(path: string): string {
  return path.split('.').at(-1) || 'schema';
}

/** By the draft that the schema names; null: Ajv cannot read it. */
function validatorOf(schema: Json): ((value: unknown) => boolean) | null {
  const options = { strict: false, logger: false, validateSchema: false } as const;
  const ajv = /20(19|20)/.test(`${schema.$schema}`) ? new Ajv2020(options) : new Ajv(options);
  addFormats.default(ajv as Ajv);
  ajv.removeKeyword('id'); // of draft 4, where it was a name
  const { $schema: _, ...rest } = schema;
  try {
    return ajv.compile(rest);
  } catch {
    return null;
  }
}
