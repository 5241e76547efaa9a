/** Text to token ids and back, by the target's tokenizer. Errors are a request's: what cannot be written in tokens. */
import { ServiceError } from '@forerunner/protocol';
import {
  type Chat,
  ChatTemplateError,
  type DecodeOptions,
  type EncodeOptions,
  type IncrementalDecoder,
  TextEncodingError,
  type Tokenizer,
} from '@forerunner/tokenizer';

export class TextCodec {
  readonly #tokenizer: Tokenizer;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Source of the chat template, '' where there is none. */
  get chatTemplateSource(): string {
    return this.#tokenizer.chatTemplateSource;
  }

  /**
   * Ids of raw text, in which names of special tokens are text unless `parseSpecial`; `addSpecialTokens`: with those that
   * the tokenizer puts around a text. Errors: invalid_request for a text without tokens.
   */
  encodePrompt(text: string, options: EncodeOptions = {}): Int32Array {
    return encoded('prompt', () => nonEmpty(this.#tokenizer.encode(text, options)));
  }

  /** Ids of any text, also one without tokens. Errors: invalid_request. */
  encodeText(text: string, options: EncodeOptions = {}): Int32Array {
    return encoded('prompt', () => this.#tokenizer.encode(text, options));
  }

  /** Text of ids, with special tokens by name. */
  decode(tokenIds: ArrayLike<number>): string {
    return this.#tokenizer.decode(tokenIds, { skipSpecialTokens: false });
  }

  /**
   * Ids of a chat by the model's own template; no message can write a special token. Errors: invalid_request when the
   * model has no template, or it refuses the roles.
   */
  encodeChat(chat: Chat): Int32Array {
    return encoded('messages', () => nonEmpty(this.#tokenizer.encodeChat(chat)));
  }

  /** Ids of text that continues another one, without special tokens. Errors: invalid_request, naming `field`. */
  encodeFragment(text: string, field: string): Int32Array {
    return encoded(field, () => this.#tokenizer.encodeFragment(text));
  }

  /** What one token stands for, for people (`text`) and for machines (`bytes`). */
  spellToken(tokenId: number): { readonly text: string; readonly bytes: Uint8Array } {
    return { text: this.#tokenizer.tokenText(tokenId), bytes: this.#tokenizer.tokenBytes(tokenId) };
  }

  /** For the tokens of one answer, one after the other. */
  incrementalDecoder(options: DecodeOptions = {}): IncrementalDecoder {
    return this.#tokenizer.incrementalDecoder(options);
  }
}

function nonEmpty(tokenIds: Int32Array): Int32Array {
  if (tokenIds.length === 0) throw new ServiceError('invalid_request', 'the prompt has no tokens');
  return tokenIds;
}

/** Errors: invalid_request naming the field, where the tokenizer or the template cannot do it. */
function encoded(field: string, encode: () => Int32Array): Int32Array {
  try {
    return encode();
  } catch (error) {
    if (error instanceof ChatTemplateError || error instanceof TextEncodingError) {
      throw new ServiceError('invalid_request', `"${field}": ${error.message}`, { field });
    }
    throw error;
  }
}
