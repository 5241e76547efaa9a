/** A model's own chat template (Jinja), as tokenizer_config.json carries it. */
import { Template } from '@huggingface/jinja';

/** One message. Fields beside these two reach the template as they are. */
export interface ChatTurn {
  readonly role: string;
  readonly content: string;
  readonly [field: string]: unknown;
}

export interface Chat {
  readonly turns: readonly ChatTurn[];
  /** Further variables of the template, such as `tools`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** The template refused this chat, for example because of the order of its roles. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
}

export class ChatTemplate {
  readonly source: string;
  readonly #template: Template;
  readonly #specialTokens: Record<string, string>;

  constructor(source: string, tokenizerConfig: Readonly<Record<string, unknown>>) {
    this.source = source;
    this.#template = new Template(source);
    this.#specialTokens = Object.fromEntries(
      ['bos_token', 'eos_token', 'pad_token', 'unk_token'].map((name) => [name, tokenText(tokenizerConfig[name])]),
    );
  }

  /** The chat as text, with the opening of the assistant's turn. Errors: ChatTemplateError. */
  render({ turns, variables }: Chat): string {
    try {
      return this.#template.render({
        ...variables,
        messages: turns,
        add_generation_prompt: true,
        ...this.#specialTokens,
      });
    } catch (error) {
      throw new ChatTemplateError(`the chat template refused the messages: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

/** Special tokens are strings, or objects with their content. */
function tokenText(token: unknown): string {
  if (typeof token === 'string') return token;
  return (token as { content?: string } | null)?.content ?? '';
}
