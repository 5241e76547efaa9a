/**
 * A text that an answer may be repeating: what the client predicted, or the prompt and the answer themselves. While the
 * answer's tokens are those of the text the place moves along; where they differ, or nothing is followed yet, the
 * longest match of the answer's last tokens is searched. Knows nothing of drafts or rounds.
 */
import { MAX_MATCH, NgramIndex } from './ngram-index.ts';

/** A place is remembered once so many tokens were followed from it: after a detour the text behind it comes first. */
const MIN_FOLLOWED = 4;

export interface FollowedTextOptions {
  /** Absent: the answer's own text, prompt included. */
  readonly text?: Int32Array | undefined;
  readonly numPromptTokens: number;
  readonly minMatch: number;
  /** Told of every token that was foreseen or not, with the length of the match that foresaw another. */
  readonly onToken: (matchLength: number, wasForeseen: boolean) => void;
}

export class FollowedText {
  readonly #index = new NgramIndex();
  readonly #options: FollowedTextOptions;
  /** Position of the text whose token is foreseen next; null while nothing is followed. */
  #place: number | null = null;
  #matchLength = 0;
  /** Where the text was last left. */
  #left: number | null = null;
  #numRead: number;

  constructor(options: FollowedTextOptions) {
    this.#options = options;
    this.#numRead = options.numPromptTokens;
    if (!options.text) return;
    this.#index.extend(options.text);
    this.#place = 0; // the answer is expected to begin as the text does
    this.#matchLength = MAX_MATCH;
    this.#left = 0;
  }

  /** Tokens that agree where the text is followed; 0: it is not. */
  get matchLength(): number {
    return this.#place === null ? 0 : this.#matchLength;
  }

  /** Reads the prompt, so that the first `follow` has less to do. */
  prepare(committed: Int32Array): void {
    if (!this.#options.text) this.#index.extend(committed);
  }

  /** Moves along what was committed since the last call. */
  follow(committed: Int32Array): void {
    this.prepare(committed);
    for (; this.#numRead < committed.length; this.#numRead++) this.#read(committed[this.#numRead]!);
    if (this.#place !== null && this.#place < this.#index.length) return;
    const { minMatch } = this.#options;
    const found = this.#index.find(committed, { minMatch, near: this.#left });
    this.#place = found?.end ?? null;
    this.#matchLength = found?.length ?? 0;
  }

  /** The next tokens of the text. One that ends within the answer goes on with these tokens themselves. */
  next(count: number): Int32Array {
    const place = this.#place ?? this.#index.length;
    const tokens: number[] = [];
    const isOwnText = !this.#options.text;
    while (tokens.length < count) {
      const at = place + tokens.length;
      const token = this.#index.tokenAt(at) ?? (isOwnText ? tokens[at - this.#index.length] : undefined);
      if (token === undefined) break;
      tokens.push(token);
    }
    return Int32Array.from(tokens);
  }

  #read(token: number): void {
    const foreseen = this.#place === null ? undefined : this.#index.tokenAt(this.#place);
    if (this.#place === null || foreseen === undefined) return;
    this.#options.onToken(this.#matchLength, foreseen === token);
    if (foreseen === token) {
      this.#place++;
      this.#matchLength++;
      return;
    }
    if (this.#matchLength >= MIN_FOLLOWED) this.#left = this.#place;
    this.#place = null;
  }
}
