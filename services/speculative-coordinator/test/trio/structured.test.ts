/** Structured output and tools over the three services on the tiny pair, as clients send them. */
import { makeChatModel, startTrio, type Trio } from '@forerunner/testkit';
import { randomSchema, SCHEMAS } from '@forerunner/testkit/schemas';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// biome-ignore lint/suspicious/noExplicitAny: replies are read field by field
type Json = any;

let trio: Trio;
let url: string;
const model = makeChatModel();
beforeAll(async () => {
  trio = await startTrio({
    target: 'tiny',
    draft: 'tiny-draft',
    env: { LOG_LEVEL: 'warn' },
    coordinatorEnv: { MODEL_DIR: model.directory, MAX_CONCURRENT_REQUESTS: '4' },
  });
  url = trio.coordinator.url;
});
afterAll(async () => {
  await trio.stop();
  model.remove();
});

const post = (path: string, body: object) =>
  fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

async function chat(body: object): Promise<{ status: number; reply: Json }> {
  const reply = await post('/v1/chat/completions', {
    messages: [{ role: 'user', content: 'Tell me.' }],
    seed: 1,
    ...body,
  });
  return { status: reply.status, reply: await reply.json() };
}

/** Chunks of a stream, parsed. */
async function chunksOf(path: string, body: object): Promise<Json[]> {
  const reply = await post(path, { messages: [{ role: 'user', content: 'Tell me.' }], seed: 1, ...body, stream: true });
  const lines = (await reply.text()).split('\n').filter((line) => line.startsWith('data: {'));
  return lines.map((line) => JSON.parse(line.slice(6)));
}

const format = (schema: object) => ({ type: 'json_schema', json_schema: { name: 'x', strict: true, schema } });
const ajv = new Ajv2020({ strict: false, logger: false });
addFormats.default(ajv);

const person = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 6 },
    age: { type: 'integer', minimum: 1, maximum: 99 },
    ok: { type: 'boolean' },
  },
  required: ['name', 'age', 'ok'],
  additionalProperties: false,
};

describe('a schema', () => {
  it.each([0, 0.8])('is matched at temperature %d by every answer that ends by itself', async (temperature) => {
    let numEnded = 0;
    const names = Object.keys(SCHEMAS).filter((_, i) => i % 4 === 1);
    for (const name of names) {
      const { schema } = SCHEMAS[name]!;
      const { status, reply } = await chat({ response_format: format(schema), temperature, max_tokens: 60 });
      expect([name, status]).toEqual([name, 200]);
      const [{ message, finish_reason: reason }] = reply.choices;
      if (reason === 'length') continue;
      numEnded++;
      expect([name, message.content, ajv.validate(schema, JSON.parse(message.content))]).toEqual([
        name,
        message.content,
        true,
      ]);
    }
    expect(numEnded).toBeGreaterThan(names.length / 2);
  });

  it('gives the greedy answer of the target alone, in fewer passes', async () => {
    const body = { response_format: format(person), temperature: 0, max_tokens: 80 };
    const drafted = await chat(body);
    const alone = await chat({ ...body, forerunner: { speculative: false } });
    expect(drafted.reply.choices[0].message).toEqual(alone.reply.choices[0].message);
    const { speculative_decoding: counts } = drafted.reply.metrics;
    expect(counts.num_accepted_forced_tokens).toBeGreaterThan(10);
    expect(counts.num_rounds).toBeLessThan(alone.reply.metrics.speculative_decoding.num_rounds / 2);
  });

  it('is streamed as it is answered', async () => {
    const body = { response_format: format(person), temperature: 1, max_tokens: 80 };
    const whole = (await chat(body)).reply.choices[0];
    const chunks = await chunksOf('/v1/chat/completions', body);
    expect(chunks.map(({ choices }) => choices[0].delta.content ?? '').join('')).toBe(whole.message.content);
    expect(chunks.at(-1).choices[0].finish_reason).toBe(whole.finish_reason);
  });

  it('cuts an answer that is too long, and says so', async () => {
    const { reply } = await chat({ response_format: { type: 'json_object' }, max_tokens: 3 });
    expect(reply.choices[0].finish_reason).toBe('length');
  });

  it('holds on every route, in each of its spellings', async () => {
    const prompt = { prompt: 'x', seed: 3, max_tokens: 60, temperature: 1 };
    const texts = await Promise.all(
      [
        { guided_json: person },
        { structured_outputs: { json: JSON.stringify(person) } },
        { response_format: format(person) },
      ].map(
        async (field) =>
          ((await (await post('/v1/completions', { ...prompt, ...field })).json()) as Json).choices[0].text,
      ),
    );
    expect(new Set(texts).size).toBe(1);
    const generated = async (structured_outputs: object): Promise<string> =>
      ((await (await post('/generate', { prompt: 'x', max_new_tokens: 60, structured_outputs })).json()) as Json).text;
    expect(await generated({ regex: '[ab]{2}\\d' })).toMatch(/^[ab]{2}\d$/);
    expect(['yes', 'no, never']).toContain(await generated({ choice: ['yes', 'no, never'] }));
    expect(await generated({ grammar: 'root ::= "<" [0-9]{2} ">"' })).toMatch(/^<\d\d>$/);
    expect(ajv.validate(person, JSON.parse(await generated({ json: person })))).toBe(true);
  });

  it('holds in a response, which repeats it', async () => {
    const body = { seed: 3, temperature: 1 };
    const text = { format: { type: 'json_schema', name: 'person', schema: person } };
    const answer = await post('/v1/responses', { ...body, input: 'x', max_output_tokens: 60, text });
    const response = (await answer.json()) as Json;
    const messages = [{ role: 'user', content: 'x' }];
    const { reply } = await chat({ ...body, messages, max_tokens: 60, response_format: format(person) });
    expect(response.output[0].content[0].text).toBe(reply.choices[0].message.content);
    expect(ajv.validate(person, JSON.parse(response.output[0].content[0].text))).toBe(true);
    expect(response.text).toEqual(text);
  });

  it('at random is answered or refused, never with a failure of ours', async () => {
    for (let seed = 100; seed < 130; seed++) {
      const { status, reply } = await chat({ response_format: format(randomSchema(seed)), max_tokens: 12 });
      expect([200, 400]).toContain(status);
      if (status === 400) expect(reply.error.param).toMatch(/^response_format\.json_schema\.schema/);
    }
  });

  it('leaves the log probabilities those of the model itself', async () => {
    const { reply } = await chat({
      response_format: { type: 'json_object' },
      max_tokens: 1,
      logprobs: true,
      temperature: 0,
    });
    expect(reply.choices[0].logprobs.content[0].logprob).toBeLessThan(-0.5);
  });
});

const tools = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'The weather in a place',
      parameters: { type: 'object', properties: { city: { type: 'string', maxLength: 5 } }, required: ['city'] },
    },
  },
  { type: 'function', function: { name: 'now' } },
];

describe('tools', () => {
  it.each(['required', { type: 'function', function: { name: 'get_weather' } }])(
    'are called with valid arguments where they must be: %j',
    async (tool_choice) => {
      for (const temperature of [0, 1]) {
        const body = { tools, tool_choice, temperature, max_tokens: 150, parallel_tool_calls: false };
        const { status, reply } = await chat(body);
        expect(status).toBe(200);
        const [{ message, finish_reason: reason }] = reply.choices;
        expect([reason, message.content, message.tool_calls.length]).toEqual(['tool_calls', null, 1]);
        const { name, arguments: text } = message.tool_calls[0].function;
        if (typeof tool_choice !== 'string') expect(name).toBe('get_weather');
        expect(ajv.validate(name === 'now' ? {} : tools[0]!.function.parameters!, JSON.parse(text))).toBe(true);

        const chunks = await chunksOf('/v1/chat/completions', body);
        const deltas = chunks.flatMap(({ choices }) => choices[0].delta.tool_calls ?? []);
        expect(deltas.map((delta) => delta.function.arguments).join('')).toBe(text);
        expect([deltas[0].function.name, chunks.at(-1).choices[0].finish_reason]).toEqual([name, 'tool_calls']);
      }
    },
  );

  it('stand in the prompt, with calls and results, though the template knows none', async () => {
    const length = async (body: object) => (await chat({ max_tokens: 1, ...body })).reply.usage.prompt_tokens;
    const call = { id: 'call_1', type: 'function', function: { name: 'now', arguments: '{}' } };
    const messages = [
      { role: 'user', content: 'Time?' },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: '12:00' },
    ];
    const [bare, offered, forbidden, answered] = [
      await length({}),
      await length({ tools }),
      await length({ tools, tool_choice: 'none' }),
      await length({ tools, messages }),
    ];
    expect(offered).toBeGreaterThan(bare + 50);
    expect(forbidden).toBe(bare);
    expect(answered).toBeGreaterThan(offered);
    const tokenized = (await (await post('/tokenize', { messages, tools })).json()) as Json;
    expect(tokenized.count).toBe(answered);
  });

  it.each([
    [
      'an argument that no grammar has',
      { tools: [{ type: 'function', function: { name: 'f', parameters: { not: {} } } }], tool_choice: 'required' },
      'tools.f.parameters.not',
    ],
    [
      'a named tool that is not offered',
      { tools, tool_choice: { type: 'function', function: { name: 'g' } } },
      'tool_choice',
    ],
    ['two tools of one name', { tools: [tools[1], tools[1]] }, 'tools'],
    [
      'a required call beside a format',
      { tools, tool_choice: 'required', response_format: { type: 'json_object' } },
      'tool_choice',
    ],
    [
      'a required call before whose end there must be more',
      { tools, tool_choice: 'required', min_tokens: 9 },
      'min_tokens',
    ],
    ['a required call that does not end', { tools, tool_choice: 'required', ignore_eos: true }, 'ignore_eos'],
    [
      'a call by a user',
      { messages: [{ role: 'user', content: 'x', tool_calls: [{ id: 'a', function: { name: 'f', arguments: '' } }] }] },
      'messages.0.tool_calls',
    ],
  ])('refuse %s', async (_what, body, param) => {
    const { status, reply } = await chat(body);
    expect([status, reply.error.param]).toEqual([400, param]);
  });
});
