/** The `input` of POST /v1/responses: a text, or items (messages, calls, their results) in the order of the chat. */
import { z } from 'zod';
import type { ToolMessage } from '../tools/tool-prompt.ts';

/** Texts that go in, and those of an earlier reply, which carry more. */
const partSchema = z.union([
  z.strictObject({ type: z.literal('input_text'), text: z.string() }),
  z.strictObject({
    type: z.literal('output_text'),
    text: z.string(),
    annotations: z.array(z.unknown()).nullish(),
    logprobs: z.array(z.unknown()).nullish(),
    parsed: z.unknown().optional(),
  }),
]);

const textSchema = z
  .union([z.string(), z.array(partSchema).min(1)], {
    error: 'must be a string, or an array of {"type": "input_text", "text": "..."}; other content is not supported',
  })
  .transform((content) => (typeof content === 'string' ? content : content.map(({ text }) => text).join('')));

/** What a reply's own items carry, so that they can be sent back as they came. */
const carried = { id: z.string().nullish(), status: z.string().nullish() };
const callId = z.string().min(1).max(128);

const messageSchema = z.strictObject({
  type: z.literal('message').optional(),
  role: z.enum(['system', 'developer', 'user', 'assistant'], {
    error: 'must be system, developer, user or assistant',
  }),
  content: textSchema,
  ...carried,
  phase: z.string().nullish(),
});
const callSchema = z.strictObject({
  type: z.literal('function_call'),
  call_id: callId,
  name: z.string(),
  arguments: z.string(),
  ...carried,
  parsed_arguments: z.unknown().optional(),
});
const resultSchema = z.strictObject({
  type: z.literal('function_call_output'),
  call_id: callId,
  output: textSchema,
  ...carried,
});
/** Thoughts of an earlier answer; not given to the model again. */
const reasoningSchema = z.looseObject({ type: z.literal('reasoning') });

const itemSchema = z.discriminatedUnion('type', [messageSchema, callSchema, resultSchema, reasoningSchema], {
  error: ({ input }) => {
    const { type } = (input ?? {}) as { type?: unknown };
    return `items of type ${JSON.stringify(type)?.slice(0, 60)} are not supported; messages, function_call, function_call_output and reasoning are`;
  },
});
type Item = z.output<typeof itemSchema>;

const { $schema: _, ...itemJson } = z.toJSONSchema(itemSchema, { io: 'input' });

/** A text alone is what the user says. */
export const inputSchema = z
  .preprocess(
    (input) => (typeof input === 'string' && input !== '' ? [{ role: 'user', content: input }] : input),
    z
      .array(itemSchema, { error: 'must be a text, or an array of items, not empty' })
      .refine((items) => items.some(({ type }) => type !== 'reasoning'), { error: 'must not be empty' }),
  )
  .meta({
    description: "What to answer: a text, or the chat so far in items, written out by the model's own template.",
    anyOf: [
      { type: 'string', minLength: 1 },
      { type: 'array', minItems: 1, items: itemJson },
    ],
  });

/** Items as messages of a chat: calls belong to the assistant's message before them. */
export function messagesOf(items: readonly Item[]): ToolMessage[] {
  const messages: ToolMessage[] = [];
  for (const item of items) {
    if (item.type === 'reasoning') continue;
    if (item.type === 'function_call_output') {
      messages.push({ role: 'tool', content: item.output, tool_call_id: item.call_id });
    } else if (item.type === 'function_call') {
      const said = messages.at(-1)?.role === 'assistant' ? messages.pop() : undefined;
      const call = {
        id: item.call_id,
        type: 'function' as const,
        function: { name: item.name, arguments: item.arguments },
      };
      messages.push({ role: 'assistant', content: '', ...said, tool_calls: [...(said?.tool_calls ?? []), call] });
    } else {
      messages.push({ role: item.role === 'developer' ? 'system' : item.role, content: item.content });
    }
  }
  return messages;
}
