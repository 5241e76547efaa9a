/** The OpenAI routes, over a pair whose answer is known to the character. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ScriptedTrio, startScriptedTrio } from './surface/scripted-trio.ts';

const TEXT = 'The old mill stood by the river, naïve and quiet — 東京 👩‍👩‍👧. One two three four five.';
let trio: ScriptedTrio;

beforeAll(async () => {
  trio = await startScriptedTrio({ text: TEXT });
});
afterAll(() => trio.stop());

// biome-ignore lint/suspicious/noExplicitAny: replies are checked field by field
type Json = Record<string, any>;

const post = (path: string, body: unknown) =>
  fetch(`${trio.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const messages = [{ role: 'user', content: 'Say it.' }];
const chat = async (body: Json = {}): Promise<Json> => {
  const reply = await post('/v1/chat/completions', { messages, temperature: 0, ...body });
  const json = (await reply.json()) as Json;
  if (reply.status !== 200) throw Object.assign(new Error(JSON.stringify(json)), { status: reply.status, json });
  return json;
};
const complete = async (body: Json = {}): Promise<Json> => {
  const reply = await post('/v1/completions', { prompt: 'Say it:', temperature: 0, max_tokens: 200, ...body });
  expect(reply.status).toBe(200);
  return (await reply.json()) as Json;
};

async function chunksOf(path: string, body: Json): Promise<Json[]> {
  const reply = await post(path, { temperature: 0, stream: true, ...body });
  expect(reply.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const events = (await reply.text()).split('\n\n').filter((event) => event.startsWith('data: '));
  expect(events.at(-1)).toBe('data: [DONE]');
  return events.slice(0, -1).map((event) => JSON.parse(event.slice(6)) as Json);
}

/** The same guesses whenever the same is asked. */
const STEADY = { draft_k: 4, prompt_lookup: false };

describe('POST /v1/chat/completions', () => {
  it('answers as OpenAI does, with the statistics of speculation', async () => {
    const reply = await chat();
    expect(reply).toMatchObject({ object: 'chat.completion', model: 'scripted-target' });
    expect(reply.id).toMatch(/^chatcmpl-/);
    expect(reply.choices).toHaveLength(1);
    expect(reply.choices[0]).toMatchObject({
      index: 0,
      message: { role: 'assistant', content: TEXT, refusal: null },
      finish_reason: 'stop',
      logprobs: null,
    });
    const { prompt_tokens, completion_tokens, total_tokens } = reply.usage;
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
    expect(completion_tokens).toBe(trio.tokenizer.encodeFragment(TEXT).length + 1); // end-of-sequence is a token
    const speculation = reply.metrics.speculative_decoding;
    expect(speculation.draft_acceptance_rate).toBeGreaterThan(0.4);
    expect(speculation.draft_acceptance_rate).toBeLessThan(1);
  });

  it('takes content in parts, developer for system, and its own reply back', async () => {
    const first = await chat({ max_tokens: 3 });
    const reply = await chat({
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Say ' },
            { type: 'text', text: 'it.' },
          ],
        },
        first.choices[0].message,
        { role: 'user', content: 'Again.' },
      ],
    });
    expect(reply.choices[0].message.content).toBe(TEXT);
  });

  it('ends at max_tokens and max_completion_tokens with finish_reason length', async () => {
    for (const field of ['max_tokens', 'max_completion_tokens']) {
      const reply = await chat({ [field]: 5 });
      expect(reply.choices[0].finish_reason).toBe('length');
      expect(reply.usage.completion_tokens).toBe(5);
    }
  });

  it('ends before a stop string, given alone or in a list', async () => {
    const expected = TEXT.slice(0, TEXT.indexOf(' three'));
    for (const stop of [' three', ['nowhere', ' three', ' four']]) {
      const reply = await chat({ stop });
      expect(reply.choices[0].message.content).toBe(expected);
      expect(reply.choices[0].finish_reason).toBe('stop');
    }
  });

  it('gives n choices, of which the first is the one that n = 1 gives', async () => {
    const sampled = { temperature: 1.5, seed: 11, max_tokens: 40, forerunner: { return_provenance: true, ...STEADY } };
    const one = await chat(sampled);
    const three = await chat({ ...sampled, n: 3 });
    expect(three.choices.map((choice: Json) => choice.index)).toEqual([0, 1, 2]);
    expect(three.choices[0].message).toEqual(one.choices[0].message);
    expect(new Set(three.choices.map((choice: Json) => choice.forerunner.seed)).size).toBe(3);
    expect(three.usage.prompt_tokens).toBe(one.usage.prompt_tokens);
    const counts = three.metrics.speculative_decoding;
    expect(counts.num_draft_tokens_per_pos.reduce((a: number, b: number) => a + b)).toBe(counts.num_draft_tokens);
    expect(counts.draft_acceptance_rate).toBeCloseTo(counts.num_accepted_tokens / counts.num_draft_tokens, 10);
    for (const name of ['num_drafts', 'num_draft_tokens', 'num_accepted_tokens']) {
      const { draft, prediction, lookup } = counts.by_source;
      expect(draft[name] + prediction[name] + lookup[name]).toBe(counts[name]);
    }
  });

  it('says how much of the prompt was cached, once for several choices', async () => {
    expect((await chat()).usage.prompt_tokens_details).toEqual({ cached_tokens: 0 });
    trio.target.numReusedTokens = 5;
    try {
      expect((await chat()).usage.prompt_tokens_details).toEqual({ cached_tokens: 5 });
      expect((await chat({ n: 3 })).usage.prompt_tokens_details).toEqual({ cached_tokens: 5 });
      const { usage } = await complete({ prompt: ['one two three four five', 'six seven eight nine ten'], n: 2 });
      expect(usage.prompt_tokens_details).toEqual({ cached_tokens: 10 });
    } finally {
      trio.target.numReusedTokens = 0;
    }
  });

  it('counts a request of several choices once', async () => {
    const counted = async (outcome: string) => {
      const line = `forerunner_requests_total\\{route="/v1/chat/completions",outcome="${outcome}"[^}]*\\} (\\d+)`;
      return Number(new RegExp(line).exec(await trio.metrics())?.[1] ?? 0);
    };
    const [completed, refused] = [await counted('completed'), await counted('refused')];
    await chat({ n: 3, max_tokens: 4 });
    expect((await counted('completed')) - completed).toBe(1);
    await expect(chat({ n: 3, max_tokens: 4, logit_bias: { 5000: 1 } })).rejects.toMatchObject({ status: 400 });
    expect((await counted('refused')) - refused).toBe(1);
  });

  it('repeats a seeded answer', async () => {
    const body = { temperature: 1.8, seed: 5, max_tokens: 60, forerunner: STEADY };
    const [a, b, other] = [await chat(body), await chat(body), await chat({ ...body, seed: 6 })];
    expect(a.choices[0].message.content).toBe(b.choices[0].message.content);
    expect(a.system_fingerprint).toMatch(/^fp_/);
    expect(other.choices[0].message.content).not.toBe(a.choices[0].message.content);
  });

  it('gives log probabilities whose bytes join to the answer and whose alternatives are ordered', async () => {
    const reply = await chat({ logprobs: true, top_logprobs: 3, max_tokens: 200 });
    const { content } = reply.choices[0].logprobs;
    const bytes = content.flatMap((token: Json) => token.bytes);
    expect(Buffer.from(bytes).toString('utf8')).toBe(TEXT);
    // ln softmax of one logit of 12 among 1,024 of which the others are 0
    const expected = 12 - Math.log(Math.exp(12) + 1023);
    for (const token of content) {
      expect(token.logprob).toBeCloseTo(expected, 4);
      expect(token.top_logprobs).toHaveLength(3);
      expect(token.top_logprobs[0].token).toBe(token.token);
      expect(token.top_logprobs[1].logprob).toBeCloseTo(expected - 12, 4);
    }
  });

  it('trims log probabilities with the text at a stop string', async () => {
    const reply = await chat({ logprobs: true, stop: ' three' });
    const joined = Buffer.from(reply.choices[0].logprobs.content.flatMap((token: Json) => token.bytes)).toString();
    expect(joined.startsWith(reply.choices[0].message.content)).toBe(true);
    expect(joined.length).toBeLessThan(reply.choices[0].message.content.length + 6);
  });

  it('tells where each token came from when asked', async () => {
    const reply = await chat({ forerunner: { ...STEADY, return_provenance: true } });
    const { tokens } = reply.choices[0].forerunner;
    expect(tokens.map((token: Json) => token.text).join('')).toBe(TEXT);
    expect(new Set(tokens.map((token: Json) => token.provenance))).toEqual(
      new Set(['target', 'accepted', 'recovered']), // the draft is wrong once in four: no round of four is whole
    );
  });

  it('runs the target alone when asked', async () => {
    const reply = await chat({ forerunner: { speculative: false } });
    expect(reply.choices[0].message.content).toBe(TEXT);
    expect(reply.metrics.speculative_decoding.num_draft_tokens).toBe(0);
  });
});

describe('streaming', () => {
  it('gives whole characters that join to the answer, one role, one finish reason', async () => {
    const chunks = await chunksOf('/v1/chat/completions', { messages });
    const choices = chunks.map((chunk) => chunk.choices[0]);
    expect(choices[0].delta).toEqual({ role: 'assistant', content: '', refusal: null });
    expect(choices.map((choice) => choice.delta.content ?? '').join('')).toBe(TEXT);
    expect(choices.some((choice) => (choice.delta.content ?? '').includes('\uFFFD'))).toBe(false);
    expect(choices.filter((choice) => choice.finish_reason !== null).map((c) => c.finish_reason)).toEqual(['stop']);
    expect(choices.length).toBeGreaterThan(8); // it did come in pieces
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
    expect('usage' in chunks[0]!).toBe(false);
  });

  it('ends with usage when asked, which is the usage of the plain reply', async () => {
    const plain = await chat({ forerunner: STEADY });
    const body = { messages, forerunner: STEADY, stream_options: { include_usage: true } };
    const chunks = await chunksOf('/v1/chat/completions', body);
    const last = chunks.at(-1)!;
    expect(last.choices).toEqual([]);
    expect(last.usage).toEqual(plain.usage);
    expect(last.metrics.speculative_decoding).toEqual(plain.metrics.speculative_decoding);
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  });

  it('carries log probabilities with the text that they belong to', async () => {
    const chunks = await chunksOf('/v1/chat/completions', { messages, logprobs: true, stop: ' three' });
    const tokens = chunks.flatMap((chunk) => chunk.choices[0].logprobs?.content ?? []);
    const plain = await chat({ logprobs: true, stop: ' three' });
    expect(tokens).toEqual(plain.choices[0].logprobs.content);
  });

  it('interleaves n choices, each whole', async () => {
    const chunks = await chunksOf('/v1/chat/completions', { messages, n: 2 });
    for (const index of [0, 1]) {
      const own = chunks.map((chunk) => chunk.choices[0]).filter((choice) => choice.index === index);
      expect(own.map((choice) => choice.delta.content ?? '').join('')).toBe(TEXT);
    }
  });

  it('of text completions joins to the text', async () => {
    const chunks = await chunksOf('/v1/completions', { prompt: 'x', max_tokens: 300 });
    expect(chunks.map((chunk) => chunk.choices[0].text).join('')).toBe(TEXT);
    expect(chunks.at(-1)!.choices[0].finish_reason).toBe('stop');
  });
});

describe('prediction', () => {
  const prediction = (content: string) => ({ type: 'content', content });
  const detailsOf = (reply: Json) => reply.usage.completion_tokens_details;

  it('that is right is accepted whole, and the draft has nothing to do', async () => {
    const reply = await chat({ prediction: prediction(TEXT) });
    expect(reply.choices[0].message.content).toBe(TEXT);
    const { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected } = detailsOf(reply);
    expect(rejected).toBe(0);
    expect(accepted).toBeGreaterThan(0.6 * reply.usage.completion_tokens);
    const speculation = reply.metrics.speculative_decoding;
    expect(speculation.num_rounds).toBeLessThan((await chat()).metrics.speculative_decoding.num_rounds);
    expect(speculation.by_source.draft.num_draft_tokens).toBeLessThan(3); // only the very end
    expect(speculation.by_source.prediction.num_accepted_tokens).toBeGreaterThanOrEqual(accepted);
  });

  it('that is wrong in the middle costs a refusal and is found again', async () => {
    const reply = await chat({
      prediction: prediction(TEXT.replace('mill', 'house').replace('river', 'sea').replace('two', 'six')),
    });
    expect(reply.choices[0].message.content).toBe(TEXT);
    expect(detailsOf(reply).rejected_prediction_tokens).toBeGreaterThan(0);
    expect(detailsOf(reply).accepted_prediction_tokens).toBeGreaterThan(0.4 * reply.usage.completion_tokens);
  });

  it('that has nothing to do with the answer changes nothing', async () => {
    const reply = await chat({ prediction: prediction('Completely different words, none of them said.') });
    expect(reply.choices[0].message.content).toBe(TEXT);
    expect(detailsOf(reply).accepted_prediction_tokens).toBe(0);
  });

  it('is verified as one-hot guesses when tokens are sampled', async () => {
    const reply = await chat({ prediction: prediction(TEXT), temperature: 1, seed: 3 });
    expect(detailsOf(reply).accepted_prediction_tokens).toBeGreaterThan(0);
  });

  it('needs no draft-service', async () => {
    const alone = await startScriptedTrio({ text: TEXT, env: { DRAFT_ENDPOINT: '' } });
    try {
      const body = { messages, temperature: 0, prediction: prediction(TEXT) };
      const reply = await alone.app.inject({ method: 'POST', url: '/v1/chat/completions', body });
      const json = reply.json<Json>();
      expect(json.choices[0].message.content).toBe(TEXT);
      expect(detailsOf(json).accepted_prediction_tokens).toBeGreaterThan(0.6 * json.usage.completion_tokens);
      expect(json.metrics.speculative_decoding.num_degraded_rounds).toBe(0);
    } finally {
      await alone.stop();
    }
  });

  it('stands in the metrics under its own name', async () => {
    expect(await trio.metrics()).toMatch(/^spec_decode_num_accepted_tokens_total\{.*source="prediction".*\} [1-9]/m);
  });
});

describe('POST /v1/completions', () => {
  it('answers as OpenAI does', async () => {
    const reply = await complete();
    expect(reply).toMatchObject({
      object: 'text_completion',
      choices: [{ index: 0, text: TEXT, finish_reason: 'stop' }],
    });
    expect(reply.id).toMatch(/^cmpl-/);
  });

  it('generates 16 tokens unless told otherwise', async () => {
    const reply = await complete({ max_tokens: null });
    expect(reply.usage.completion_tokens).toBe(16);
  });

  it('takes several prompts, as text or as token ids', async () => {
    for (const prompt of [
      ['one', 'two'],
      [
        [5, 6, 7],
        [8, 9],
      ],
    ]) {
      const reply = await complete({ prompt, n: 2 });
      expect(reply.choices.map((choice: Json) => choice.index)).toEqual([0, 1, 2, 3]);
      expect(reply.choices.every((choice: Json) => choice.text === TEXT)).toBe(true);
    }
    expect((await complete({ prompt: [5, 6, 7] })).usage.prompt_tokens).toBe(3);
  });

  it('gives log probabilities with offsets into the text', async () => {
    const { logprobs, text } = (await complete({ logprobs: 2 })).choices[0];
    expect(logprobs.tokens).toHaveLength(logprobs.text_offset.length);
    // The token that ended the answer counts, and has no text.
    expect(logprobs.tokens.pop()).toBe('<|im_end|>');
    expect(logprobs.text_offset.pop()).toBe(text.length);
    logprobs.tokens.forEach((token: string, i: number) => {
      if (!token.includes('\uFFFD')) expect(text.startsWith(token, logprobs.text_offset[i])).toBe(true);
    });
    expect(Object.keys(logprobs.top_logprobs[0]).length).toBeGreaterThan(0);
  });
});

describe('GET /v1/models', () => {
  it('lists the model that is served, and finds it by name', async () => {
    const list = (await (await fetch(`${trio.url}/v1/models`)).json()) as Json;
    expect(list).toMatchObject({ object: 'list', data: [{ id: 'scripted-target', object: 'model' }] });
    expect((await fetch(`${trio.url}/v1/models/scripted-target`)).status).toBe(200);
    const missing = await fetch(`${trio.url}/v1/models/gpt-9`);
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
  });
});

describe('what is refused', () => {
  const chatError = async (body: Json): Promise<Json> => {
    const reply = await post('/v1/chat/completions', { messages, ...body });
    return { status: reply.status, requestId: reply.headers.get('x-request-id'), ...((await reply.json()) as Json) };
  };

  it.each([
    ['a tool of another kind', { tools: [{ type: 'web_search' }] }, 'tools.0.type', /must be function/],
    ['a required call of nothing', { tool_choice: 'required' }, 'tool_choice', /no tool/],
    ['an unknown field', { tempratur: 1 }, 'tempratur', /tempratur/],
    ['an unknown format', { response_format: { type: 'xml' } }, 'response_format.type', /json_schema/],
    [
      'the part of a schema that no grammar has',
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { items: { not: {} } } } } },
      'response_format.json_schema.schema.items.not',
      /not supported by the grammar/,
    ],
    [
      'two demands',
      { guided_regex: 'a', response_format: { type: 'json_object' } },
      'structured_outputs',
      /not several/,
    ],
    ['a regular expression', { guided_regex: 'a(?=b)' }, 'guided_regex', /lookaround/],
    [
      'a grammar',
      { structured_outputs: { grammar: 'root ::= b' } },
      'structured_outputs.grammar',
      /"b" is not defined/,
    ],
    ['an image', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, 'messages.0.content', /text/],
    ['a result of no call', { messages: [{ role: 'tool', content: 'x' }] }, 'messages.0.tool_call_id', /role tool/],
    ['no messages', { messages: [] }, 'messages', /must not be empty/],
    ['a temperature over 2', { temperature: 2.5 }, 'temperature', /at most 2/],
    ['top_logprobs alone', { top_logprobs: 2 }, 'top_logprobs', /logprobs/],
    ['stream_options alone', { stream_options: { include_usage: true } }, 'stream_options', /stream/],
    ['too many choices', { n: 99 }, 'n', /at most 8/],
    ['both token limits', { max_tokens: 5, max_completion_tokens: 5 }, 'max_tokens', /not both/],
    ['an unknown extension', { forerunner: { draftk: 4 } }, 'forerunner.draftk', /draftk/],
    ['a bias for no token', { logit_bias: { 99999: 1 } }, null, /99999/],
    [
      'a prediction for the target alone',
      { prediction: { type: 'content', content: 'a' }, forerunner: { speculative: false } },
      'prediction',
      /target alone/,
    ],
  ])('names %s', async (_what, body, param, message) => {
    const { status, requestId, error } = await chatError(body);
    expect(status).toBe(400);
    expect(error.message).toMatch(message);
    expect(error.param).toBe(param);
    expect(error.type).toBe('invalid_request_error');
    expect(requestId).toBeTruthy();
  });

  it('an answer that cannot fit, with the code that clients look for', async () => {
    const { status, error } = await chatError({ max_tokens: 5000 });
    expect(status).toBe(400);
    expect(error.code).toBe('context_length_exceeded');
  });

  it('a model that is not served', async () => {
    const { status, error } = await chatError({ model: 'gpt-9' });
    expect(status).toBe(404);
    expect(error).toMatchObject({ code: 'model_not_found', param: 'model' });
  });

  it.each([
    ['invalid JSON', '/v1/chat/completions', '{', 400],
    ['an unknown route', '/v1/embeddings', '{}', 404],
  ])("%s in OpenAI's shape", async (_what, path, body, status) => {
    const reply = await post(path, body);
    expect(reply.status).toBe(status);
    const { error } = (await reply.json()) as Json;
    expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
  });

  it("nothing that is only a client's habit: nulls and defaults are taken", async () => {
    const reply = await chat({
      tools: null,
      functions: [],
      response_format: { type: 'text' },
      store: false,
      n: null,
      stop: null,
      seed: null,
      user: 'u-1',
      logit_bias: {},
      service_tier: 'auto',
    });
    expect(reply.choices[0].message.content).toBe(TEXT);
  });

  it('elsewhere in the shape of the service', async () => {
    const reply = await post('/generate', { prompt: '' });
    expect(((await reply.json()) as Json).error).toMatchObject({
      code: 'invalid_request',
      request_id: expect.any(String),
    });
  });
});

describe('a target that fails', () => {
  it('before the first token is a plain error, after it an error event', async () => {
    trio.target.before = () => {
      throw new Error('broken');
    };
    const reply = await post('/v1/chat/completions', { messages, stream: true });
    expect(reply.status).toBe(503);
    expect(((await reply.json()) as Json).error).toMatchObject({ type: 'server_error', code: 'target_unavailable' });

    let numCalls = 0;
    trio.target.before = () => {
      if (numCalls++ > 3) throw new Error('broken');
    };
    const broken = await post('/v1/chat/completions', { messages, stream: true });
    expect(broken.status).toBe(200);
    const text = await broken.text();
    expect(text).toMatch(/event: error\ndata: \{"error":\{"message":".*","type":"server_error"/);
    expect(text).not.toContain('[DONE]');
    trio.target.before = () => {};
  });
});
