/**
 * Private-use characters that stand for the characters with which special tokens begin, in one text while a template and
 * a tokenizer work on it. What a template may do with a message (trim, cut, join, change the case) can then never make a
 * special token of it. One unit for one unit, so lengths stay the same.
 */
import type { SpecialTokens } from './special-tokens.ts';

const PRIVATE_USE = /[\uE000-\uF8FF]/g;
const FIRST = 0xe000;
const LAST = 0xf8ff;

/** A text that cannot be written in tokens without giving it another meaning. */
export class TextEncodingError extends Error {
  override readonly name = 'TextEncodingError';
}

/** Private-use characters that a text does not use. Errors: TextEncodingError when it leaves too few. */
export function unusedCharacters(text: string, count: number): string[] {
  const used = new Set(text.match(PRIVATE_USE));
  const unused: string[] = [];
  for (let code = FIRST; code <= LAST && unused.length < count; code++) {
    const character = String.fromCharCode(code);
    if (!used.has(character)) unused.push(character);
  }
  if (unused.length < count) throw new TextEncodingError('it uses every private-use character of Unicode');
  return unused;
}

export class StandIns {
  readonly #special: SpecialTokens;
  readonly #standInOf: ReadonlyMap<string, string>;
  readonly #originalOf: ReadonlyMap<string, string>;
  readonly #pattern: RegExp;

  /** Stand-ins that `text`, which holds all that will be replaced, does not use. Errors: TextEncodingError. */
  constructor(special: SpecialTokens, text: string) {
    const standIns = unusedCharacters(text, special.openings.length);
    this.#special = special;
    this.#standInOf = new Map(special.openings.map((opening, i) => [opening, standIns[i]!]));
    this.#originalOf = new Map(special.openings.map((opening, i) => [standIns[i]!, opening]));
    this.#pattern = standIns.length > 0 ? new RegExp(`[${standIns.join('')}]`, 'g') : /(?!)/g;
  }

  /** A text of which nobody makes a special token. */
  replace(text: string): string {
    return this.#special.replaceOpenings(text, this.#standInOf);
  }

  restore(text: string): string {
    return text.replace(this.#pattern, (standIn) => this.#originalOf.get(standIn)!);
  }
}
