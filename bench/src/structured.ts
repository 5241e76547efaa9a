/**
 * `node bench/src/structured.ts`: answers that must match a schema. How many of those that ended by themselves are valid,
 * over many schemas, greedy (there also whether the target alone gives the same) and sampled; and the speed of a fixed schema against free text, with and without a draft, in
 * turns, through HTTP.
 *
 *   node bench/src/structured.ts [--schemas 100] [--random 100] [--repeats 6] [--tokens 120] [--target 135m] [--draft 135m-feature-draft]
 */
import { parseArgs } from 'node:util';
import { generate, postGenerate, scrape, startTrio, sumOf } from '@forerunner/testkit';
import { randomSchema, SCHEMAS } from '@forerunner/testkit/schemas';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { PROMPTS } from './prompts.ts';
import { median, spread } from './stats.ts';

const { values } = parseArgs({
  options: {
    schemas: { type: 'string', default: '100' },
    random: { type: 'string', default: '100' },
    repeats: { type: 'string', default: '6' },
    tokens: { type: 'string', default: '120' },
    target: { type: 'string', default: '135m' },
    draft: { type: 'string', default: '135m-feature-draft' },
  },
});
const numTokens = Number(values.tokens);
const ajv = new Ajv2020({ strict: false, logger: false });
addFormats.default(ajv);

const trio = await startTrio({
  target: values.target,
  draft: values.draft,
  env: { LOG_LEVEL: 'warn' },
  coordinatorEnv: { DEFAULT_DRAFT_TOKENS: '4', DEFAULT_MIN_CONFIDENCE: '0.7', DRAFT_TIMEOUT_MS: '10000' },
});
const { url } = trio.coordinator;
try {
  await generate(url, { prompt: 'Warm up', max_new_tokens: 32, structured_outputs: { json_object: true } });
  await measureValidity();
  if (Number(values.repeats) > 0) await measureSpeed();
} finally {
  await trio.stop();
}

async function measureValidity(): Promise<void> {
  const listed = Object.values(SCHEMAS).map(({ schema }) => schema);
  const schemas = [
    ...listed.slice(0, Number(values.schemas)),
    ...Array.from({ length: Number(values.random) }, (_, i) => randomSchema(1000 + i)),
  ];
  for (const temperature of [0, 0.8]) {
    const counts = { valid: 0, invalid: 0, 'ended by length': 0, refused: 0, failed: 0, 'differ from target alone': 0 };
    for (const [i, json] of schemas.entries()) {
      const prompt = `${PROMPTS[i % PROMPTS.length]}\nAs JSON:\n`;
      const body = { prompt, structured_outputs: { json }, temperature, seed: i, max_new_tokens: numTokens };
      const reply = await postGenerate(url, body);
      const answer = (await reply.json()) as { text: string; finish_reason: string };
      if (reply.status === 400) counts.refused++;
      else if (reply.status !== 200) counts.failed++;
      else if (answer.finish_reason === 'length') counts['ended by length']++;
      else if (ajv.validate(json, JSON.parse(answer.text))) counts.valid++;
      else counts.invalid++;
      if (temperature > 0 || reply.status !== 200) continue;
      const alone = await generate(url, { ...body, speculative: false });
      if (alone.text !== answer.text) counts['differ from target alone']++;
    }
    console.log(`${schemas.length} schemas at temperature ${temperature}:`, JSON.stringify(counts));
  }
}

async function measureSpeed(): Promise<void> {
  const json = SCHEMAS['a person']!.schema;
  const ways = {
    'free text, target alone': { ignore_eos: true, speculative: false },
    'free text, with the draft': { ignore_eos: true },
    'fixed schema, target alone': { structured_outputs: { json }, speculative: false },
    'fixed schema, forced text and draft': { structured_outputs: { json } },
  };
  for (const temperature of [0, 0.8]) {
    const speeds = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
    const totals = { tokens: 0, forced: 0, forcedGuesses: 0, rounds: 0, draft: 0 };
    const before = await grammarTimes();
    for (let i = 0; i < Number(values.repeats); i++) {
      const prompt = `Describe a person: ${PROMPTS[i % PROMPTS.length]}\nAs JSON:\n`;
      for (const [name, way] of Object.entries(ways)) {
        const answer = await generate(url, { prompt, max_new_tokens: numTokens, temperature, seed: i, ...way });
        speeds.get(name)!.push(answer.metrics.decode_tokens_per_second);
        if (!('structured_outputs' in way) || 'speculative' in way) continue;
        const counts = answer.metrics.speculative_decoding;
        totals.tokens += answer.usage.completion_tokens;
        totals.forced += answer.provenance.filter((one) => one === 'forced').length;
        totals.forcedGuesses += counts.num_forced_tokens;
        totals.rounds += counts.num_rounds;
        totals.draft += counts.num_draft_tokens;
      }
    }
    const after = await grammarTimes();
    console.log(`temperature ${temperature}, tokens per second after the first, median (middle half):`);
    for (const [name, all] of speeds) console.log(`  ${name.padEnd(36)} ${spread(all)}`);
    const [base] = [median(speeds.get('free text, target alone')!)];
    for (const [name, all] of speeds) console.log(`  ${name.padEnd(36)} ${(median(all) / base).toFixed(2)} x`);
    console.log(
      `  forced: ${((100 * totals.forced) / totals.tokens).toFixed(0)} % of tokens, ` +
        `${((100 * totals.forced) / totals.forcedGuesses).toFixed(0)} % of forced guesses kept, ` +
        `${(totals.tokens / (totals.rounds + Number(values.repeats))).toFixed(2)} tokens per pass`,
    );
    const numRounds = after.rounds - before.rounds;
    console.log(
      `  grammar: ${((1000 * (after.seconds - before.seconds)) / numRounds).toFixed(2)} ms a round, ${numRounds} rounds`,
    );
  }
}

async function grammarTimes(): Promise<{ seconds: number; rounds: number }> {
  const metrics = await scrape(url);
  return {
    seconds: sumOf(metrics, 'forerunner_grammar_seconds_sum'),
    rounds: sumOf(metrics, 'forerunner_grammar_seconds_count'),
  };
}
