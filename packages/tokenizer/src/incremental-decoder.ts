/**
 * Turns token ids into text piece by piece, whole characters only. A character may span several tokens (byte-level
 * vocabularies), and a decoder may depend on neighbours, so a piece is the difference of two decodings of a short
 * window, as vLLM and TGI do it, and a piece that ends inside a character waits for the next token.
 */

const REPLACEMENT = '\uFFFD';
/** A UTF-8 character has at most four bytes: after as many tokens a U+FFFD is the model's own, not an incomplete one. */
const MAX_INCOMPLETE_TOKENS = 4;

export class IncrementalDecoder {
  readonly #decode: (tokenIds: readonly number[]) => string;
  readonly #ids: number[] = [];
  /** Start of the window whose text gives the context. */
  #windowStart = 0;
  /** Ids before this are in the text already. */
  #releasedEnd = 0;
  #text = '';

  constructor(decode: (tokenIds: readonly number[]) => string) {
    this.#decode = decode;
  }

  /** The text released so far: whole characters only. */
  get text(): string {
    return this.#text;
  }

  /** Adds a token and returns the text that it completes, '' while a character is incomplete. */
  push(tokenId: number): string {
    this.#ids.push(tokenId);
    const known = this.#decode(this.#ids.slice(this.#windowStart, this.#releasedEnd));
    const all = this.#decode(this.#ids.slice(this.#windowStart));
    const waiting = this.#ids.length - this.#releasedEnd;
    if (all.endsWith(REPLACEMENT) && waiting < MAX_INCOMPLETE_TOKENS) return '';
    return this.#release(all.slice(known.length));
  }

  /** Releases what an unfinished character left behind, at the end of the answer. */
  flush(): string {
    if (this.#releasedEnd === this.#ids.length) return '';
    const known = this.#decode(this.#ids.slice(this.#windowStart, this.#releasedEnd));
    return this.#release(this.#decode(this.#ids.slice(this.#windowStart)).slice(known.length));
  }

  #release(piece: string): string {
    this.#windowStart = this.#releasedEnd;
    this.#releasedEnd = this.#ids.length;
    this.#text += piece;
    return piece;
  }
}
