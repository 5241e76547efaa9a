/** Fields of a chat about tools, as OpenAI names them. */
import { z } from 'zod';

export const MAX_TOOLS = 128;
const nameSchema = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ . -');

export const toolSchema = z.strictObject({
  type: z.literal('function', { error: 'must be function: other tools are not supported' }),
  function: z.strictObject({
    name: nameSchema,
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish().describe("JSON schema of the call's arguments."),
    strict: z.boolean().nullish(),
  }),
});
export type Tool = z.output<typeof toolSchema>;

const toolChoiceSchema = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: z.string() }) }),
  ],
  { error: 'must be none, auto, required, or {"type": "function", "function": {"name": "..."}}' },
);

export const toolFields = {
  tools: z.array(toolSchema).max(MAX_TOOLS).nullish().describe('Functions that the model may call.'),
  tool_choice: toolChoiceSchema
    .nullish()
    .describe(
      'auto (default with tools): the model decides; required or a named function: it must call; none: it may not.',
    ),
  parallel_tool_calls: z
    .boolean()
    .nullish()
    .describe('false: exactly one call where calls are required. Default true.'),
};
export type ToolRequest = { [Field in keyof typeof toolFields]?: z.output<(typeof toolFields)[Field]> };

/** Calls that an assistant's message repeats. */
export const toolCallsSchema = z.array(
  z.strictObject({
    id: z.string().max(128),
    type: z.literal('function').default('function'),
    function: z.strictObject({ name: z.string(), arguments: z.string() }),
    index: z.int().optional(),
  }),
);
export type ToolCalls = z.output<typeof toolCallsSchema>;

/** The tools that an answer may call, none where it may not. */
export function offeredTools({ tools, tool_choice: choice }: ToolRequest): readonly Tool[] {
  return choice === 'none' ? [] : (tools ?? []);
}

/** The tools of which the answer must call one; null: it is free. */
export function requiredTools(body: ToolRequest): readonly Tool[] | null {
  const { tool_choice: choice } = body;
  const tools = offeredTools(body);
  if (choice === 'required') return tools;
  if (typeof choice !== 'object' || choice === null) return null;
  return tools.filter((tool) => tool.function.name === choice.function.name);
}

/** A named function is called once. */
export const allowsSeveralCalls = ({ tool_choice: choice, parallel_tool_calls: parallel }: ToolRequest): boolean =>
  choice === 'required' && parallel !== false;

export const toolsAreWhole = [
  (body: ToolRequest): boolean => requiredTools(body)?.length !== 0,
  { error: 'names no tool of "tools"', path: ['tool_choice'] as PropertyKey[] },
] as const;

export const toolNamesDiffer = [
  ({ tools }: ToolRequest): boolean => new Set(tools?.map((tool) => tool.function.name)).size === (tools?.length ?? 0),
  { error: 'two of them have the same name', path: ['tools'] as PropertyKey[] },
] as const;
