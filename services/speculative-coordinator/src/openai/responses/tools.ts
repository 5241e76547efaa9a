/** Fields about tools as /v1/responses has them: those of a chat, but flat. */
import { z } from 'zod';
import { MAX_TOOLS, type Tool, type ToolRequest, toolFields, toolSchema } from '../tools/tool-fields.ts';

const { type, function: functionSchema } = toolSchema.shape;

const flatToolSchema = z
  .strictObject({ type, ...functionSchema.shape })
  .transform(({ type, ...described }): Tool => ({ type, function: described }));

const flatChoiceSchema = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z
      .strictObject({ type: z.literal('function'), name: z.string() })
      .transform(({ type, name }) => ({ type, function: { name } })),
  ],
  { error: 'must be none, auto, required, or {"type": "function", "name": "..."}' },
);

export const flatToolFields = {
  tools: z.array(flatToolSchema).max(MAX_TOOLS).nullish().describe('Functions that the model may call.'),
  tool_choice: flatChoiceSchema.nullish().describe(toolFields.tool_choice.description!),
  parallel_tool_calls: toolFields.parallel_tool_calls,
};

/** How a reply repeats them. */
export function repeatedTools({ tools, tool_choice: choice, parallel_tool_calls: parallel }: ToolRequest) {
  return {
    tools: (tools ?? []).map(({ type, function: { name, description, parameters, strict } }) => ({
      type,
      name,
      description: description ?? null,
      parameters: parameters ?? null,
      strict: strict ?? null,
    })),
    tool_choice:
      typeof choice === 'object' && choice !== null ? { type: choice.type, ...choice.function } : (choice ?? 'auto'),
    parallel_tool_calls: parallel ?? true,
  };
}
