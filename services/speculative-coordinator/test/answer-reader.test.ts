/** What an answer's text says: thoughts, content and calls, however it is cut into pieces. */
import { CounterRng } from '@forerunner/sampling';
import { describe, expect, it } from 'vitest';
import { AnswerReader, addedUp, type MessageDelta, type ReadMessage } from '../src/openai/tools/answer-reader.ts';

const toolNames = ['weather', 'now'];
const options = { toolNames, isThinking: false };

function read(text: string, pieces: readonly string[], change: Partial<typeof options> = {}) {
  const reader = new AnswerReader({ ...options, ...change });
  const deltas: (MessageDelta | null)[] = pieces.map((piece) => reader.push(piece));
  deltas.push(reader.end());
  expect(pieces.join('')).toBe(text);
  return { message: addedUp(deltas), deltas, hasToolCalls: reader.hasToolCalls };
}

/** A text in pieces of 1 to 9 characters. */
function cut(text: string, seed: number): string[] {
  const rng = new CounterRng(seed);
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const length = Math.ceil(9 * rng.uniform(1, at));
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

const call = (name: string, args: string) => ({
  id: expect.stringMatching(/^call_/),
  type: 'function',
  function: { name, arguments: args },
});
const said = (content: string): ReadMessage => ({ content });

const CASES: Record<string, [text: string, message: object, change?: Partial<typeof options>]> = {
  'plain text': ['Hello, {world} [1, 2] <b>', said('Hello, {world} [1, 2] <b>')],
  nothing: ['', said('')],
  'white space': [' \n a \n ', said(' \n a \n ')],
  'a tagged call': [
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "n": [1, {"a": "}"}]}}\n</tool_call>',
    { content: null, tool_calls: [call('weather', '{"city": "Rome", "n": [1, {"a": "}"}]}')] },
  ],
  'text, two calls and text': [
    'Let me see.\n\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>\n<tool_call>{"arguments": {"city": "a\\"b"}, "name": "weather"}</tool_call>\nDone.',
    { content: 'Let me see.Done.', tool_calls: [call('now', '{}'), call('weather', '{"city": "a\\"b"}')] },
  ],
  'a call without arguments': [
    '<tool_call>{"name": "now"}</tool_call>',
    { content: null, tool_calls: [call('now', '{}')] },
  ],
  'arguments in a string': [
    '<tool_call>{"name": "weather", "arguments": "{\\"city\\": 1}"}</tool_call>',
    { content: null, tool_calls: [call('weather', '{"city": 1}')] },
  ],
  'a call that is cut off': [
    '<tool_call>{"name": "weather", "arguments": {"ci',
    { content: null, tool_calls: [call('weather', '{"ci')] },
  ],
  'a call of no tool': [
    'a <tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    said('a<tool_call>{"name": "rm", "arguments": {}}</tool_call>'),
  ],
  'a tag around something else': ['<tool_call>oops</tool_call> b', said('<tool_call>oops</tool_call> b')],
  'half a tag': ['1 < 2 <tool', said('1 < 2 <tool')],
  'a bare call (Llama 3)': [
    '{"name": "weather", "parameters": {"city": "x"}}',
    { content: null, tool_calls: [call('weather', '{"city": "x"}')] },
  ],
  'bare calls in a row': [
    '{"name": "now", "parameters": {}}; {"name": "weather", "parameters": {"city": 2}}',
    { content: null, tool_calls: [call('now', '{}'), call('weather', '{"city": 2}')] },
  ],
  'a list of calls (Mistral)': [
    ' [{"name": "now", "arguments": {}}, {"name": "weather", "arguments": {"city": "a]"}}]',
    { content: null, tool_calls: [call('now', '{}'), call('weather', '{"city": "a]"}')] },
  ],
  'JSON that is no call': ['{"answer": [1, 2]} and more', said('{"answer": [1, 2]} and more')],
  'a list that is no call': ['[1, 2, 3]', said('[1, 2, 3]')],
  'a thought': ['<think>\nHm <b> {x}\n</think>\n\nYes.', { reasoning_content: 'Hm <b> {x}', content: 'Yes.' }],
  'a thought that does not end': ['<think>Hm </thin', { reasoning_content: 'Hm </thin', content: '' }],
  'a thought and a call': [
    '<think>Hm</think><tool_call>{"name": "now", "arguments": {}}</tool_call>',
    { reasoning_content: 'Hm', content: null, tool_calls: [call('now', '{}')] },
  ],
  'a thought that the prompt began': [
    'Hm\n</think>\nYes',
    { reasoning_content: 'Hm', content: 'Yes' },
    { isThinking: true },
  ],
  'tags in the middle of a text': ['a <think>b</think>', said('a <think>b</think>')],
  'a call where there are no tools': [
    '<tool_call>{"name": "now"}</tool_call>',
    said('<tool_call>{"name": "now"}</tool_call>'),
    { toolNames: [] },
  ],
};

describe.each(Object.entries(CASES))('%s', (_name, [text, message, change]) => {
  it('is read as a whole', () => {
    const { message: whole, hasToolCalls } = read(text, [text], change);
    expect(whole).toEqual(message);
    expect(hasToolCalls).toBe('tool_calls' in message);
  });

  it('adds up to the same in any pieces', () => {
    for (let seed = 1; seed <= 20; seed++) expect(read(text, cut(text, seed), change).message).toEqual(message);
    expect(read(text, [...text], change).message).toEqual(message);
  });
});

describe('deltas', () => {
  it('name a call once, before its arguments, which come as they are written', () => {
    const text = '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>';
    const { deltas } = read(text, [...text]);
    const calls = deltas.flatMap((delta) => delta?.tool_calls ?? []);
    expect(calls[0]).toMatchObject({ index: 0, type: 'function', function: { name: 'weather', arguments: '' } });
    expect(calls.slice(1).every((one) => one.id === undefined && one.function.name === undefined)).toBe(true);
    expect(calls.length).toBeGreaterThan(10);
  });

  it('tell text at once where no mark may begin', () => {
    const reader = new AnswerReader(options);
    expect(reader.push('Hello')).toEqual({ content: 'Hello' });
    expect(reader.push(' <')).toBeNull();
    expect(reader.push('b')).toEqual({ content: ' <b' });
  });
});
