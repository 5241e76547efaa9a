/** The clients that people have already, pointed here: OpenAI's own (JavaScript and Python), and the Vercel AI SDK. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import OpenAI, { type APIError, BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pythonWith, runPython } from '../support/python.ts';
import { startTinyTrio, type TinyTrio } from '../support/tiny-trio.ts';

let trio: TinyTrio;
let client: OpenAI;
let model: string;
const messages = [{ role: 'user' as const, content: 'Tell me about the sea.' }];

beforeAll(async () => {
  trio = await startTinyTrio();
  client = new OpenAI({ baseURL: `${trio.url}/v1`, apiKey: 'none needed', maxRetries: 0 });
  model = (await client.models.list()).data[0]!.id;
});
afterAll(() => trio?.stop());

describe('the official JavaScript client', () => {
  it('lists and finds the model', async () => {
    expect((await client.models.retrieve(model)).id).toBe(model);
    await expect(client.models.retrieve('gpt-9')).rejects.toBeInstanceOf(NotFoundError);
  });

  it('chats, and streams the same answer', async () => {
    const request = { model, messages, temperature: 0, max_tokens: 40, seed: 1 };
    const whole = await client.chat.completions.create(request);
    expect(whole.choices[0]!.finish_reason).toMatch(/stop|length/);
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]!.message.content);
    // Of the same prompt all but the last token are cached the second time.
    const cached_tokens = whole.usage!.prompt_tokens - 1;
    expect(usage).toEqual({ ...whole.usage, prompt_tokens_details: { cached_tokens } });
  });

  it('gathers a stream with its own helper', async () => {
    const runner = client.chat.completions.stream({
      model,
      messages,
      temperature: 0,
      max_tokens: 30,
      n: 2,
      logprobs: true,
    });
    const final = await runner.finalChatCompletion();
    expect(final.choices).toHaveLength(2);
    expect(final.choices[0]!.message.content).toBe(final.choices[1]!.message.content);
    expect(final.choices[0]!.logprobs?.content?.length).toBeGreaterThan(10);
  });

  it('uses every sampling parameter that it has', async () => {
    const request = {
      model,
      messages,
      max_completion_tokens: 20,
      n: 2,
      seed: 42,
      temperature: 0.9,
      top_p: 0.9,
      presence_penalty: 0.5,
      frequency_penalty: 0.5,
      logit_bias: { '50': -100, '60': 5 },
      logprobs: true,
      top_logprobs: 4,
      stop: ['\n\n'],
      user: 'user-7',
      response_format: { type: 'text' as const },
    };
    const [a, b] = [await client.chat.completions.create(request), await client.chat.completions.create(request)];
    expect(a.choices).toEqual(b.choices);
    const first = a.choices[0]!.logprobs!.content![0]!;
    expect(first.top_logprobs).toHaveLength(4);
    expect(Math.max(...first.top_logprobs.map((top) => top.logprob))).toBe(first.top_logprobs[0]!.logprob);
  });

  it('bans a token by logit_bias and lifts another one to the only choice', async () => {
    const certain = await client.completions.create({
      model,
      prompt: 'x',
      max_tokens: 5,
      temperature: 0,
      logit_bias: { '100': 100 },
      logprobs: 0,
    });
    expect(new Set(certain.choices[0]!.logprobs!.tokens).size).toBe(1);
    const banned = await client.completions.create({
      model,
      prompt: 'x',
      max_tokens: 5,
      temperature: 0,
      logit_bias: { '100': -100 },
    });
    expect(banned.choices[0]!.text).not.toBe(certain.choices[0]!.text);
  });

  it('predicts an output and is told how much of it was right', async () => {
    const request = { model, messages, temperature: 0, max_tokens: 60 };
    const plain = await client.chat.completions.create(request);
    const predicted = await client.chat.completions.create({
      ...request,
      prediction: { type: 'content', content: plain.choices[0]!.message.content! },
    });
    expect(predicted.choices[0]!.message.content).toBe(plain.choices[0]!.message.content);
    expect(predicted.usage!.completion_tokens_details!.accepted_prediction_tokens).toBeGreaterThan(20);
  });

  it('responds, and its stream helper gathers the same response', async () => {
    const request = { model, input: 'Tell me about the sea.', temperature: 0, max_output_tokens: 30 };
    const whole = await client.responses.create(request);
    expect(whole.output_text.length).toBeGreaterThan(0);
    expect(whole.usage!.output_tokens).toBeLessThanOrEqual(30);
    const stream = client.responses.stream(request);
    const names: string[] = [];
    let text = '';
    for await (const event of stream) {
      if (names.at(-1) !== event.type) names.push(event.type);
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    const final = await stream.finalResponse();
    expect(text).toBe(whole.output_text);
    expect(final.output_text).toBe(whole.output_text);
    expect(final.status).toBe(whole.status);
    expect(names).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      `response.${whole.status}`,
    ]);
    const said = whole.output.filter((item) => item.type === 'message');
    const next = await client.responses.create({
      ...request,
      instructions: 'Be brief.',
      input: [{ role: 'user', content: request.input }, ...said, { role: 'user', content: 'And the land?' }],
    });
    expect(next.usage!.input_tokens).toBeGreaterThan(whole.usage!.input_tokens);
    const refused = await client.responses
      .create({ ...request, previous_response_id: whole.id })
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BadRequestError);
    expect(refused).toMatchObject({ param: 'previous_response_id' });
  });

  it('scores a prompt', async () => {
    const prompt = 'Once upon a time';
    const scored = await client.completions.create({ model, prompt, max_tokens: 0, echo: true, logprobs: 1 });
    const { text, logprobs } = scored.choices[0]!;
    expect(text).toBe(prompt);
    expect(logprobs!.tokens!.join('')).toBe(prompt);
    expect(logprobs!.token_logprobs![0]).toBe(null);
    expect(logprobs!.token_logprobs!.slice(1).every((one) => one < 0)).toBe(true);
  });

  it('reads errors as its own classes, with the field', async () => {
    const refused = await client.chat.completions
      .create({ model, messages, modalities: ['audio'] })
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BadRequestError);
    expect(refused).toMatchObject({ status: 400, param: 'modalities', type: 'invalid_request_error' });
    expect((refused as APIError).requestID).toBeTruthy();
  });

  it('may leave a stream; the server notices', async () => {
    const stream = await client.chat.completions.create({ model, messages, max_tokens: 300, stream: true });
    for await (const _ of stream) break;
    const running = async () =>
      /^forerunner_requests_running\{.*\} (\d+)$/m.exec(await (await fetch(`${trio.url}/metrics`)).text())![1];
    await expect.poll(running, { timeout: 5000 }).toBe('0');
  });

  it('passes our own extensions under one key', async () => {
    const reply = await client.chat.completions.create({
      model,
      messages,
      temperature: 0,
      max_tokens: 24,
      // @ts-expect-error: OpenAI's types do not know it
      forerunner: { draft_k: 3, return_provenance: true },
    });
    const extra = reply as unknown as {
      choices: { forerunner: { tokens: { provenance: string }[] } }[];
      metrics: { speculative_decoding: { num_draft_tokens_per_pos: number[] } };
    };
    expect(extra.choices[0]!.forerunner.tokens.length).toBeGreaterThan(0);
    expect(extra.metrics.speculative_decoding.num_draft_tokens_per_pos).toHaveLength(3);
  });
});

describe('the Vercel AI SDK', () => {
  const provider = () => createOpenAICompatible({ name: 'forerunner', baseURL: `${trio.url}/v1`, includeUsage: true });

  it('generates and streams text', async () => {
    const request = { model: provider()(model), prompt: 'Tell me about the sea.', temperature: 0, maxOutputTokens: 40 };
    const whole = await generateText(request);
    expect(whole.usage.outputTokens).toBeGreaterThan(0);
    const stream = streamText(request);
    let text = '';
    for await (const delta of stream.textStream) text += delta;
    expect(text).toBe(whole.text);
    expect((await stream.usage).outputTokens).toBe(whole.usage.outputTokens);
  });

  it('continues text by the older route', async () => {
    const { text } = await generateText({
      model: provider().completionModel(model),
      prompt: 'Once',
      maxOutputTokens: 12,
      temperature: 0,
    });
    expect(text.length).toBeGreaterThan(0);
  });
});

const python = pythonWith('openai');
if (!python) console.warn('SKIPPED: no Python with the package openai (pip install openai); see e2e/support/python.ts');

describe.skipIf(!python)('the official Python client', () => {
  it('chats, streams, completes, predicts and reads errors', async () => {
    const output = await runPython(
      python!,
      `
import json, os
from openai import BadRequestError, OpenAI

client = OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key="none", max_retries=0)
model = client.models.list().data[0].id
messages = [{"role": "user", "content": "Tell me about the sea."}]
whole = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=40)
text, usage = "", None
for chunk in client.chat.completions.create(
    model=model, messages=messages, temperature=0, max_tokens=40, stream=True, stream_options={"include_usage": True}
):
    text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    usage = chunk.usage or usage
assert text == whole.choices[0].message.content, (text, whole)
assert usage.completion_tokens == whole.usage.completion_tokens
completion = client.completions.create(model=model, prompt="Once", max_tokens=8, temperature=0, logprobs=2)
assert len(completion.choices[0].logprobs.tokens) == completion.usage.completion_tokens
predicted = client.chat.completions.create(
    model=model, messages=messages, temperature=0, max_tokens=40, prediction={"type": "content", "content": text}
)
assert predicted.usage.completion_tokens_details.accepted_prediction_tokens > 10
assert predicted.choices[0].message.content == text
extra = client.chat.completions.create(
    model=model, messages=messages, max_tokens=8,
    extra_body={"forerunner": {"speculative": False}, "top_k": 5, "min_tokens": 4, "ignore_eos": True},
)
assert extra.usage.completion_tokens == 8
assert extra.metrics["speculative_decoding"]["num_draft_tokens"] == 0
response = client.responses.create(model=model, input=messages, temperature=0, max_output_tokens=40)
assert response.output_text == text, (response, text)
with client.responses.stream(model=model, input=messages, temperature=0, max_output_tokens=40) as events:
    for event in events:  # its get_final_response wants response.completed, and the length ends this one
        pass
    assert event.response.output_text == text, event
scored = client.completions.create(model=model, prompt="Once upon a time", max_tokens=0, echo=True, logprobs=1)
assert scored.choices[0].logprobs.token_logprobs[0] is None
try:
    client.chat.completions.create(model=model, messages=messages, modalities=["audio"])
    raise SystemExit("audio was accepted")
except BadRequestError as error:
    assert error.param == "modalities", error
print(json.dumps({"text": text}))
`,
      { BASE_URL: trio.url },
    );
    expect((JSON.parse(output) as { text: string }).text.length).toBeGreaterThan(0);
  });
});
