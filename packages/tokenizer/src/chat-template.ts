/** A model's own chat template (Jinja), as tokenizer_config.json carries it. */
import { Template } from '@huggingface/jinja';

export interface ChatTurn {
  readonly role: string;
  readonly content: string;
}

/** The template refused this chat, for example because of the order of its roles. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
}

export class ChatTemplate {
  readonly #template: Template;
  readonly #specialTokens: Record<string, string>;

  constructor(source: string, tokenizerConfig: Readonly<Record<string, unknown>>) {
    this.#template = new Template(source);
    this.#specialTokens = Object.fromEntries(
      ['bos_token', 'eos_token', 'pad_token', 'unk_token'].map((name) => [name, tokenText(tokenizerConfig[name])]),
    );
  }

  /** The chat as text, with the opening of the assistant's turn. Errors: ChatTemplateError. */
  render(turns: readonly ChatTurn[]): string {
    try {
      return this.#template.render({
        messages: turns.map(({ role, content }) => ({ role, content })),
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
