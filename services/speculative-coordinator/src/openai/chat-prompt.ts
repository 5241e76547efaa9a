/** Token ids of a chat, its tools included, as the model's template writes it. */
import type { TextCodec } from '../pair/text-codec.ts';
import { offeredTools, type ToolRequest } from './tools/tool-fields.ts';
import { toolFormatOf } from './tools/tool-format.ts';
import { type ToolMessage, toolChat } from './tools/tool-prompt.ts';
import { type TemplateRequest, templateOptions } from './vllm-fields.ts';

interface PromptRequest extends TemplateRequest, ToolRequest {
  readonly messages: readonly ToolMessage[];
}

/** Errors: those of TextCodec.encodeChat. */
export function chatPrompt(
  body: PromptRequest,
  codec: Pick<TextCodec, 'encodeChat' | 'chatTemplateSource'>,
): Int32Array {
  const format = toolFormatOf(codec.chatTemplateSource);
  return codec.encodeChat(toolChat(body.messages, { tools: offeredTools(body), format, ...templateOptions(body) }));
}
