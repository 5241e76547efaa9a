/**
 * Messages as the chat template gets them. A template that knows tools gets them and the calls as they are; for one that
 * does not they become text: tools in the system message, calls and results between tags (the form of Hermes and Qwen).
 */
import type { Chat } from '@forerunner/tokenizer';
import type { Tool, ToolCalls } from './tool-fields.ts';
import type { ToolFormat } from './tool-format.ts';

export interface ToolMessage {
  readonly role: string;
  readonly content: string;
  readonly tool_calls?: ToolCalls | undefined;
  readonly tool_call_id?: string | undefined;
  readonly name?: string | undefined;
}

export interface ToolChatOptions extends Omit<Chat, 'turns'> {
  readonly tools: readonly Tool[];
  readonly format: ToolFormat;
}

export function toolChat(messages: readonly ToolMessage[], { tools, format, ...template }: ToolChatOptions): Chat {
  if (format.isOfTemplate) {
    const variables = { ...template.variables, ...(tools.length > 0 && { tools }) };
    return { ...template, turns: messages.map(withParsedCalls), variables };
  }
  const turns = messages.map(asText);
  return { ...template, turns: tools.length > 0 ? withSystemText(turns, systemText(tools)) : turns };
}

/** Templates write arguments as objects. */
function withParsedCalls({ tool_calls: calls, ...message }: ToolMessage) {
  if (!calls?.length) return message;
  const parsed = calls.map((call) => ({
    ...call,
    function: { ...call.function, arguments: parsedArguments(call.function.arguments) },
  }));
  return { ...message, tool_calls: parsed };
}

function parsedArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // the model's own, which need not be JSON
  }
}

function asText({ role, content, tool_calls: calls, tool_call_id: _, ...others }: ToolMessage) {
  if (role === 'tool') return { role: 'user', content: `<tool_response>\n${content}\n</tool_response>` };
  const written = (calls ?? []).map(
    ({ function: { name, arguments: text } }) =>
      `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${text}}\n</tool_call>`,
  );
  return { ...others, role, content: [...(content === '' ? [] : [content]), ...written].join('\n') };
}

function withSystemText(turns: Chat['turns'], text: string): Chat['turns'] {
  const [first, ...rest] = turns;
  if (first?.role !== 'system') return [{ role: 'system', content: text }, ...turns];
  return [{ role: 'system', content: `${first.content}\n\n${text}` }, ...rest];
}

const systemText = (tools: readonly Tool[]): string =>
  [
    'You may call functions to help with the request. Their signatures are between <tools></tools>:',
    '<tools>',
    ...tools.map((tool) => JSON.stringify(tool)),
    '</tools>',
    'For each call return a JSON object with its name and arguments between <tool_call></tool_call>:',
    '<tool_call>',
    '{"name": <name>, "arguments": <arguments>}',
    '</tool_call>',
  ].join('\n');
