/**
 * The tokens that only the server may write: those that the tokenizer marks as special, and those with which the chat
 * template opens and closes turns, marked or not. Knows where they may stand in a text and how often they do in ids;
 * encodes nothing.
 */

/** As tokenizer.json has it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

export class SpecialTokens {
  /** The first UTF-16 units of these tokens, in either case: a template may change it. */
  readonly openings: readonly string[];
  readonly #ids: ReadonlySet<number>;
  readonly #tokens: RegExp;
  /** An opening, or a whole token that a text may hold, such as <think>: templates look for those in messages. */
  readonly #openings: RegExp;

  /** `structure` is text that the template wrote by itself; `unkToken` stands for anything, and so is not one of these. */
  constructor(added: readonly AddedToken[], structure: string, unkToken: string | undefined) {
    const tokens = added.filter(({ content }) => content !== '');
    const special = tokens.filter(
      ({ content, special }) => special || (isMarkup(content) && structure.includes(content)),
    );
    this.#ids = new Set(special.filter(({ content }) => content !== unkToken).map(({ id }) => id));
    const contents = special.map(({ content }) => content);
    const first = contents.map((content) => content[0]!);
    const openings = new Set(first.flatMap((unit) => [unit, unit.toLowerCase(), unit.toUpperCase()]));
    this.openings = [...openings];
    this.#tokens = alternatives(contents);
    const mayStand = ({ content }: AddedToken) =>
      openings.has(content[0]!) &&
      ![...content.slice(1)].some((unit) => openings.has(unit)) &&
      !contents.some((one) => one.startsWith(content));
    const ordinary = tokens.filter(mayStand).map(({ content }) => content);
    this.#openings = alternatives([...ordinary, ...openings]);
  }

  /** The special tokens in a text, in their order. */
  listIn(text: string): string[] {
    return text.match(this.#tokens) ?? [];
  }

  /** How many of the ids are those of special tokens. */
  countIds(ids: Iterable<number>): number {
    let count = 0;
    for (const id of ids) if (this.#ids.has(id)) count++;
    return count;
  }

  /** Whether a special token may begin somewhere in a text. */
  mayBeginIn(text: string): boolean {
    return text.search(this.#openings) >= 0;
  }

  /** The text with every character replaced at which a special token may begin. */
  replaceOpenings(text: string, standInOf: ReadonlyMap<string, string>): string {
    return text.replace(this.#openings, (match) => standInOf.get(match) ?? match);
  }
}

/** Some tokenizers add white space and words, which templates write, too. */
function isMarkup(content: string): boolean {
  return content.length > 2 && /[^\s\p{L}\p{N}]/u.test(content);
}

/** The longest first, as tokenizers look for them. */
function alternatives(words: readonly string[]): RegExp {
  const sorted = words.toSorted((a, b) => b.length - a.length);
  return new RegExp(sorted.length > 0 ? sorted.map((word) => RegExp.escape(word)).join('|') : '(?!)', 'g');
}
