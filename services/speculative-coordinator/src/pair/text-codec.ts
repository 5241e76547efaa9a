/** Text to token ids and back, by the target's tokenizer. Errors are a request's: what cannot be written in tokens. */
import { ServiceError } from '@forerunner/protocol';
import { type Chat, ChatTemplateError, type IncrementalDecoder, type Tokenizer } from '@forerunner/tokenizer';

export class TextCodec {
  readonly #tokenizer: Tokenizer;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Source of the chat template, '' where there is none. */
  get chatTemplateSource(): string {
    return this.#tokenizer.chatTemplateSource;
  }

  /** Ids of raw text. Errors: invalid_request for a text without tokens. */
  encodePrompt(text: string): Int32Array {
    return nonEmpty(this.#tokenizer.encode(text));
  }

  /** Ids of a chat by the model's own template. Errors: invalid_request when it has none or refuses the roles. */
  encodeChat(chat: Chat): Int32Array {
    try {
      return nonEmpty(this.#tokenizer.encodeChat(chat));
    } catch (error) {
      if (error instanceof ChatTemplateError) throw new ServiceError('invalid_request', `"messages": ${error.message}`);
      throw error;
    }
  }

  /** Ids of text that continues another one. */
  encodeFragment(text: string): Int32Array {
    return this.#tokenizer.encodeFragment(text);
  }

  /** What one token stands for, for people (`text`) and for machines (`bytes`). */
  spellToken(tokenId: number): { readonly text: string; readonly bytes: Uint8Array } {
    return { text: this.#tokenizer.tokenText(tokenId), bytes: this.#tokenizer.tokenBytes(tokenId) };
  }

  /** For the tokens of one answer, one after the other. */
  incrementalDecoder(): IncrementalDecoder {
    return this.#tokenizer.incrementalDecoder();
  }
}

function nonEmpty(tokenIds: Int32Array): Int32Array {
  if (tokenIds.length === 0) throw new ServiceError('invalid_request', 'the prompt has no tokens');
  return tokenIds;
}
