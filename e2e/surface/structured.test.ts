/** Structured output and tools by the helpers of the clients that people have: OpenAI's own, and the Vercel AI SDK. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, tool } from 'ai';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startTinyTrio, type TinyTrio } from '../support/tiny-trio.ts';

let trio: TinyTrio;
let client: OpenAI;
let model: string;
const messages = [{ role: 'user' as const, content: 'Plan a day.' }];
const event = z.object({
  name: z.string().max(8),
  kind: z.enum(['walk', 'talk']),
  hours: z.int().min(1).max(12),
  guests: z.array(z.string().max(4)).max(2),
  note: z.union([z.string().max(5), z.null()]),
});

/** The tiny pair's context has little room for tools. */
const mood = z.object({ mood: z.enum(['good', 'bad']), level: z.int().min(1).max(5) });

beforeAll(async () => {
  trio = await startTinyTrio();
  client = new OpenAI({ baseURL: `${trio.url}/v1`, apiKey: 'none needed', maxRetries: 0 });
  model = (await client.models.list()).data[0]!.id;
});
afterAll(() => trio?.stop());

function callOf({ choices }: OpenAI.Chat.ChatCompletion) {
  const [call] = choices[0]!.message.tool_calls!;
  return call as OpenAI.Chat.ChatCompletionMessageFunctionToolCall & { function: { parsed_arguments?: unknown } };
}

describe('the official JavaScript client', () => {
  it('parses an answer by a zod schema, whole and streamed', async () => {
    const request = {
      model,
      messages,
      seed: 2,
      max_tokens: 200,
      response_format: zodResponseFormat(event, 'event'),
    };
    const whole = await client.chat.completions.parse(request);
    const { parsed } = whole.choices[0]!.message;
    expect(event.parse(parsed)).toEqual(parsed);
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    expect(event.parse(streamed.choices[0]!.message.parsed)).toEqual(parsed);
  });

  it('reads calls with their arguments, whole and streamed', async () => {
    const request = {
      model,
      messages,
      seed: 3,
      max_tokens: 95,
      tools: [zodFunction({ name: 'say', parameters: mood })],
      tool_choice: 'required' as const,
      parallel_tool_calls: false,
    };
    const whole = await client.chat.completions.parse(request);
    expect(whole.choices[0]!.finish_reason).toBe('tool_calls');
    const call = callOf(whole);
    expect(call.function.name).toBe('say');
    expect(mood.parse(call.function.parsed_arguments)).toBeTruthy();
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    expect(callOf(streamed).function.arguments).toBe(call.function.arguments);
  });

  it('sends calls and their results back', async () => {
    const call = { id: 'call_1', type: 'function' as const, function: { name: 'say', arguments: '{}' } };
    const reply = await client.chat.completions.create({
      model,
      messages: [
        ...messages,
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: 'added' }] },
      ],
      tools: [zodFunction({ name: 'say', parameters: mood })],
      max_tokens: 5,
    });
    expect(reply.choices[0]!.finish_reason).toBe('length');
  });
});

describe('the official JavaScript client, by its Responses', () => {
  it('parses an answer by a zod schema, whole and streamed', async () => {
    const request = {
      model,
      input: 'Plan a day.',
      max_output_tokens: 200,
      seed: 2,
      text: { format: zodTextFormat(event, 'event') },
    };
    const whole = await client.responses.parse(request);
    expect(event.parse(whole.output_parsed)).toEqual(whole.output_parsed);
    const streamed = await client.responses.stream(request).finalResponse();
    expect(streamed.output_parsed).toEqual(whole.output_parsed);
  });

  it('loops over a call and its result, whole and streamed', async () => {
    const request = {
      model,
      max_output_tokens: 95,
      seed: 3,
      tools: [zodResponsesFunction({ name: 'say', parameters: mood })],
      tool_choice: { type: 'function' as const, name: 'say' },
    };
    const input = [{ role: 'user' as const, content: 'Plan a day.' }];
    const whole = await client.responses.parse({ ...request, input });
    expect(whole.status).toBe('completed');
    const [call] = whole.output;
    if (call?.type !== 'function_call') throw new Error(`no call, but ${JSON.stringify(call)}`);
    expect(mood.parse(call.parsed_arguments)).toEqual(JSON.parse(call.arguments));

    const stream = client.responses.stream({ ...request, input });
    const names: string[] = [];
    for await (const { type } of stream) if (names.at(-1) !== type) names.push(type);
    const streamed = (await stream.finalResponse()).output;
    expect(streamed.map((item) => item.type === 'function_call' && item.arguments)).toEqual([call.arguments]);
    expect(names).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ]);

    const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'said' };
    const next = await client.responses.create({
      ...request,
      input: [...input, call, result],
      tool_choice: 'auto',
      max_output_tokens: 5,
    });
    expect(next.usage!.input_tokens).toBeGreaterThan(whole.usage!.input_tokens);
  });
});

describe('the Vercel AI SDK', () => {
  const chat = () =>
    createOpenAICompatible({ name: 'forerunner', baseURL: `${trio.url}/v1`, supportsStructuredOutputs: true })(model);

  it('generates an object', async () => {
    const { object } = await generateObject({
      model: chat(),
      schema: event,
      prompt: 'A day.',
      maxOutputTokens: 200,
      seed: 4,
    });
    expect(event.parse(object)).toEqual(object);
  });

  it('has a tool called', async () => {
    const seen: unknown[] = [];
    await generateText({
      model: chat(),
      prompt: 'A day.',
      seed: 5,
      maxOutputTokens: 95,
      toolChoice: { type: 'tool', toolName: 'say' },
      tools: {
        say: tool({
          description: 'Says it',
          inputSchema: mood,
          execute: async (input) => {
            seen.push(input);
            return 'added';
          },
        }),
      },
    });
    expect(seen.length).toBeGreaterThan(0);
    for (const input of seen) expect(mood.parse(input)).toEqual(input);
  });
});
