/** A model's own chat template (Jinja), as tokenizer_config.json carries it. Renders text; what becomes a token it does not know. */
import { Template } from '@huggingface/jinja';
import { unusedCharacters } from './stand-ins.ts';

/** One message. Fields beside these two reach the template as they are. */
export interface ChatTurn {
  readonly role: string;
  readonly content: string | null;
  readonly [field: string]: unknown;
}

export interface Chat {
  readonly turns: readonly ChatTurn[];
  /** Further variables of the template, such as `enable_thinking` or `tools`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** The opening of the assistant's turn follows the messages. Default: true. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** The text ends where the last message's content does, so that it is gone on with. Default: false. */
  readonly continueFinalMessage?: boolean | undefined;
}

/** The template refused this chat, for example because of the order of its roles. */
export class ChatTemplateError extends Error {
  override readonly name = 'ChatTemplateError';
}

/** Two chats whose markup every template writes; not all of them allow a system message. */
const TURNS = ['user', 'assistant', 'user'].map((role) => ({ role, content: 'x' }));
const PROBES: Chat[] = [{ turns: [{ role: 'system', content: 'x' }, ...TURNS] }, { turns: TURNS }];

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

  /** Errors: ChatTemplateError. */
  render(chat: Chat): string {
    return chat.continueFinalMessage ? this.#renderUnfinished(chat) : this.#render(chat);
  }

  /** What the template writes by itself around messages of any content. */
  markup(): string {
    return PROBES.map((chat) => {
      try {
        return this.render(chat);
      } catch {
        return '';
      }
    }).join('\0');
  }

  #render({ turns, variables, addGenerationPrompt = true }: Chat): string {
    try {
      return this.#template.render({
        ...variables,
        messages: turns,
        add_generation_prompt: addGenerationPrompt,
        ...this.#specialTokens,
      });
    } catch (error) {
      throw new ChatTemplateError(`the chat template refused the messages: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** A mark at the end of the last content tells where to cut, whatever the template adds or trims. */
  #renderUnfinished(chat: Chat): string {
    const last = chat.turns.at(-1);
    if (typeof last?.content !== 'string') throw new ChatTemplateError('the last message has no text to go on with');
    const [mark] = unusedCharacters(this.#render(chat) + last.content, 1);
    const turns = [...chat.turns.slice(0, -1), { ...last, content: last.content + mark }];
    const text = this.#render({ ...chat, turns, addGenerationPrompt: false });
    const end = text.lastIndexOf(mark!);
    if (end < 0) throw new ChatTemplateError('the chat template does not write the last message, which was to go on');
    return text.slice(0, end);
  }
}

/** Special tokens are strings, or objects with their content. */
function tokenText(token: unknown): string {
  if (typeof token === 'string') return token;
  return (token as { content?: string } | null)?.content ?? '';
}
