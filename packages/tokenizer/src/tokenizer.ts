/** Text <-> token ids for one model folder, by Hugging Face's tokenizers for JavaScript. Knows no models, no HTTP. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers';
import { bytesOfByteLevelToken } from './byte-level.ts';
import { type Chat, ChatTemplate, ChatTemplateError } from './chat-template.ts';
import { IncrementalDecoder } from './incremental-decoder.ts';
import { joinStrings, mapStrings } from './map-strings.ts';
import { type AddedToken, SpecialTokens } from './special-tokens.ts';
import { StandIns, TextEncodingError } from './stand-ins.ts';
import { templateSources } from './template-source.ts';

export interface EncodeOptions {
  /** Names of special tokens in the text become those tokens. Default: false. */
  readonly parseSpecial?: boolean | undefined;
  /** With the special tokens, such as <s>, that the tokenizer puts around a text. Default: true. */
  readonly addSpecialTokens?: boolean | undefined;
}

export interface DecodeOptions {
  /** Special tokens have no text. Default: true. */
  readonly skipSpecialTokens?: boolean | undefined;
}

/** The same twice, where the model has one for all chats. */
interface Templates {
  readonly chat: ChatTemplate;
  readonly tools: ChatTemplate;
}

export class Tokenizer {
  readonly #tokenizer: HfTokenizer;
  readonly #templates: Templates | null;
  readonly #special: SpecialTokens;
  /** Special tokens that the tokenizer puts around every text. */
  readonly #numAddedTokens: number;

  /** `modelDir` holds tokenizer.json and tokenizer_config.json; where its chat template may be, templateSources says. */
  static load(modelDir: string): Tokenizer {
    const read = (file: string) => JSON.parse(readFileSync(join(modelDir, file), 'utf8')) as Record<string, unknown>;
    const config = read('tokenizer_config.json');
    const sources = templateSources(modelDir, config);
    const templates = sources && {
      chat: new ChatTemplate(sources.chat, config),
      tools: new ChatTemplate(sources.tools ?? sources.chat, config),
    };
    return new Tokenizer(read('tokenizer.json') as unknown as TokenizerJson, config, templates ?? null);
  }

  private constructor(json: TokenizerJson, config: object, templates: Templates | null) {
    this.#tokenizer = new HfTokenizer(json, config);
    this.#templates = templates;
    const markup = templates ? `${templates.chat.markup()}\0${templates.tools.markup()}` : '';
    this.#special = new SpecialTokens(json.added_tokens, markup, json.model.unk_token);
    this.#numAddedTokens = this.#special.countIds(this.#tokenizer.encode('').ids);
  }

  get hasChatTemplate(): boolean {
    return this.#templates !== null;
  }

  /** Source of the template of chats with tools, which tells how calls are written; '' where there is none. */
  get chatTemplateSource(): string {
    return this.#templates?.tools.source ?? '';
  }

  /** Ids of raw text. Errors: TextEncodingError. */
  encode(text: string, { parseSpecial = false, addSpecialTokens = true }: EncodeOptions = {}): Int32Array {
    return parseSpecial ? this.#encode(text, addSpecialTokens) : this.#encodeAsText(text, addSpecialTokens);
  }

  /** Ids of a piece of text that stands inside a longer one: no special tokens are added or parsed. Errors: as above. */
  encodeFragment(text: string): Int32Array {
    return this.#encodeAsText(text, false);
  }

  /**
   * Ids of a chat, ending where the assistant's answer begins. The template's special tokens are special tokens; their
   * names in messages and variables are text, whatever the template does with it. Errors: ChatTemplateError,
   * TextEncodingError.
   */
  encodeChat(chat: Chat): Int32Array {
    if (!this.#templates) throw new ChatTemplateError('this model has no chat template; use "prompt"');
    const template = chat.variables?.tools == null ? this.#templates.chat : this.#templates.tools;
    const text = template.render(chat);
    const given = joinStrings([chat.turns, chat.variables]);
    if (!this.#special.mayBeginIn(given)) return this.#encodeMarkup(text);

    const standIns = new StandIns(this.#special, given + text);
    const { turns, variables } = chat;
    const guarded = template.render({
      ...chat,
      ...mapStrings({ turns, variables }, (value) => standIns.replace(value)),
    });
    // Templates may look at what stands in a message. Where nothing in it became a special token, the ordinary text holds.
    const holdsSpecial = this.#special.listIn(given).length > 0;
    const isOrdinary = this.#special.listIn(text).join('\0') === this.#special.listIn(guarded).join('\0');
    return !holdsSpecial && isOrdinary ? this.#encodeMarkup(text) : this.#encodeMarkup(guarded, { standIns });
  }

  #encode(text: string, addSpecialTokens: boolean): Int32Array {
    return Int32Array.from(this.#tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids);
  }

  #encodeAsText(text: string, addSpecialTokens: boolean): Int32Array {
    if (this.#special.listIn(text).length === 0) return this.#encodeMarkup(text, { addSpecialTokens });
    const standIns = new StandIns(this.#special, text);
    return this.#encodeMarkup(standIns.replace(text), { standIns, addSpecialTokens });
  }

  /**
   * Ids of a text whose special tokens are meant, but none that stand-ins hide. Errors: TextEncodingError where the
   * tokenizer makes more of them, from what its normalizer or its vocabulary do with the text.
   */
  #encodeMarkup(
    text: string,
    { standIns, addSpecialTokens = false }: { standIns?: StandIns; addSpecialTokens?: boolean } = {},
  ): Int32Array {
    const ids = standIns
      ? this.#restoring(standIns, () => this.#encode(text, addSpecialTokens))
      : this.#encode(text, addSpecialTokens);
    const numMeant = this.#special.listIn(text).length + (addSpecialTokens ? this.#numAddedTokens : 0);
    if (this.#special.countIds(ids) > numMeant) {
      throw new TextEncodingError('it holds the name of a special token, which this tokenizer cannot write as text');
    }
    return ids;
  }

  /**
   * The tokenizer looks for special tokens while the stand-ins are there, and splits and merges the text without them:
   * sections are as long as ever, so their tokens are those of any other text.
   */
  #restoring<T>(standIns: StandIns, encode: () => T): T {
    const tokenizer = this.#tokenizer as unknown as { pre_tokenizer: PreTokenize | null };
    const { pre_tokenizer: preTokenize } = tokenizer;
    tokenizer.pre_tokenizer = (section, options) => {
      const text = standIns.restore(section);
      return preTokenize ? preTokenize(text, options) : [text];
    };
    try {
      return encode();
    } finally {
      tokenizer.pre_tokenizer = preTokenize;
    }
  }

  /** Text of ids. Incomplete characters come out as U+FFFD. */
  decode(tokenIds: ArrayLike<number>, { skipSpecialTokens = true }: DecodeOptions = {}): string {
    if (tokenIds.length === 0) return '';
    return this.#tokenizer.decode(Array.from(tokenIds), {
      skip_special_tokens: skipSpecialTokens,
      clean_up_tokenization_spaces: false,
    });
  }

  /** A decoder for one answer that grows token by token. */
  incrementalDecoder(options: DecodeOptions = {}): IncrementalDecoder {
    return new IncrementalDecoder((ids) => this.decode(ids, options));
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

interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly model: { readonly unk_token?: string };
}

type PreTokenize = (section: string, options: object) => string[];
