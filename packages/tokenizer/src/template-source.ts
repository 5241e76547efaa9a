/** Where a model folder keeps its chat template, and which of several is meant. Knows files, renders nothing. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TemplateSources {
  /** Of chats. */
  readonly chat: string;
  /** Of chats with tools, where the model has a template of its own for them. */
  readonly tools?: string;
}

/**
 * chat_template.jinja, else chat_template.json, else what tokenizer_config.json has: a template, or a list of named ones, of
 * which `default` is for chats and `tool_use` for those with tools. Undefined: the model has none.
 */
export function templateSources(
  modelDir: string,
  tokenizerConfig: Readonly<Record<string, unknown>>,
): TemplateSources | undefined {
  const read = (name: string) => {
    const path = join(modelDir, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  };
  const jinja = read('chat_template.jinja');
  if (jinja !== undefined) return { chat: jinja };
  const json = read('chat_template.json');
  const fromJson = json === undefined ? undefined : (JSON.parse(json) as { chat_template?: unknown }).chat_template;
  return sourcesOf(fromJson ?? tokenizerConfig.chat_template);
}

/** Whether chats can be asked of a model folder. */
export function hasChatTemplate(modelDir: string): boolean {
  return (
    templateSources(modelDir, JSON.parse(readFileSync(join(modelDir, 'tokenizer_config.json'), 'utf8'))) !== undefined
  );
}

function sourcesOf(template: unknown): TemplateSources | undefined {
  if (typeof template === 'string') return { chat: template };
  if (!Array.isArray(template)) return undefined;
  const named = new Map(
    template
      .filter((one): one is { name: string; template: string } => typeof one?.template === 'string')
      .map((one) => [one.name, one.template]),
  );
  const chat = named.get('default') ?? [...named.values()][0];
  const tools = named.get('tool_use');
  return chat === undefined ? undefined : { chat, ...(tools !== undefined && tools !== chat && { tools }) };
}
