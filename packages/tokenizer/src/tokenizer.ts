/** Text <-> token ids for one model folder, by Hugging Face's tokenizers for JavaScript. Knows no models, no HTTP. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers';
import { bytesOfByteLevelToken } from './byte-level.ts';
import { type Chat, ChatTemplate, ChatTemplateError } from './chat-template.ts';
import { IncrementalDecoder } from './incremental-decoder.ts';

export class Tokenizer {
  readonly #tokenizer: HfTokenizer;
  readonly #chatTemplate: ChatTemplate | null;

  /** `modelDir` holds tokenizer.json and tokenizer_config.json (and chat_template.jinja in newer exports). */
  static load(modelDir: string): Tokenizer {
    const read = (file: string) => JSON.parse(readFileSync(join(modelDir, file), 'utf8')) as Record<string, unknown>;
    const config = read('tokenizer_config.json');
    const templateFile = join(modelDir, 'chat_template.jinja');
    const source = existsSync(templateFile) ? readFileSync(templateFile, 'utf8') : config.chat_template;
    return new Tokenizer(
      new HfTokenizer(read('tokenizer.json'), config),
      typeof source === 'string' ? new ChatTemplate(source, config) : null,
    );
  }

  private constructor(tokenizer: HfTokenizer, chatTemplate: ChatTemplate | null) {
    this.#tokenizer = tokenizer;
    this.#chatTemplate = chatTemplate;
  }

  get hasChatTemplate(): boolean {
    return this.#chatTemplate !== null;
  }

  /** Source of the chat template, '' where there is none. */
  get chatTemplateSource(): string {
    return this.#chatTemplate?.source ?? '';
  }

  /** Ids of raw text, with the special tokens that the model's own tokenizer adds. */
  encode(text: string): Int32Array {
    return Int32Array.from(this.#tokenizer.encode(text).ids);
  }

  /** Ids of a piece of text that stands inside a longer one: no special tokens are added. */
  encodeFragment(text: string): Int32Array {
    return Int32Array.from(this.#tokenizer.encode(text, { add_special_tokens: false }).ids);
  }

  /** Ids of a chat, ending where the assistant's answer begins. Errors: ChatTemplateError. */
  encodeChat(chat: Chat): Int32Array {
    if (!this.#chatTemplate) throw new ChatTemplateError('this model has no chat template; use "prompt"');
    // The template writes every special token itself.
    return Int32Array.from(this.#tokenizer.encode(this.#chatTemplate.render(chat), { add_special_tokens: false }).ids);
  }

  /** Text of ids; special tokens are left out. Incomplete characters come out as U+FFFD. */
  decode(tokenIds: ArrayLike<number>): string {
    if (tokenIds.length === 0) return '';
    return this.#tokenizer.decode(Array.from(tokenIds), {
      skip_special_tokens: true,
      clean_up_tokenization_spaces: false,
    });
  }

  /** A decoder for one answer that grows token by token. */
  incrementalDecoder(): IncrementalDecoder {
    return new IncrementalDecoder((ids) => this.decode(ids));
  }

  /** The bytes that a token adds to a text; none for a special token, which marks something, or an id without a token. */
  textBytes(tokenId: number): Uint8Array {
    const isSpecial = this.#tokenizer.get_added_tokens_decoder().get(tokenId)?.special === true;
    if (isSpecial || this.#tokenizer.id_to_token(tokenId) === undefined) return new Uint8Array(0);
    return this.tokenBytes(tokenId);
  }

  /** A token's own text as the vocabulary spells it, for people (log probabilities). */
  tokenText(tokenId: number): string {
    return this.#tokenizer.decode([tokenId], { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  }

  /** The bytes that a token stands for; the bytes of all tokens of a text, joined, are its UTF-8. */
  tokenBytes(tokenId: number): Uint8Array {
    const spelled = this.#tokenizer.id_to_token(tokenId) ?? '';
    const special = this.#tokenizer.get_added_tokens_decoder().has(tokenId);
    return (special ? null : bytesOfByteLevelToken(spelled)) ?? new TextEncoder().encode(this.tokenText(tokenId));
  }
}
