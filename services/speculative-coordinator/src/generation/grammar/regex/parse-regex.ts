/**
 * Reads a regular expression (ECMA 262, as JSON Schema has them) into a tree. What is no regular language, or looks
 * around, is refused by name. Laziness changes no language and is passed over.
 */
import { type CodePointRange, MAX_CODE_POINT } from '../character-class.ts';
import { complement, normalised } from './code-points.ts';

export type RegexNode =
  | { readonly kind: 'set'; readonly ranges: readonly CodePointRange[] }
  | { readonly kind: 'sequence'; readonly parts: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly branches: readonly RegexNode[] }
  | { readonly kind: 'repeat'; readonly part: RegexNode; readonly min: number; readonly max: number | null }
  | { readonly kind: 'start' | 'end' };

export class RegexError extends Error {
  override readonly name = 'RegexError';
}

const MAX_REPEATS = 4096;
const range = (text: string): CodePointRange => [text.codePointAt(0)!, text.codePointAt(text.length > 1 ? 1 : 0)!];
const DIGITS = [range('09')];
const WORD = normalised([range('09'), range('AZ'), range('__'), range('az')]);
const SPACE = normalised([
  [9, 13],
  [32, 32],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const LINE_ENDS = normalised([range('\n'), range('\r'), [0x2028, 0x2029]]);
const SETS: Record<string, readonly CodePointRange[]> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
};
const CONTROLS: Record<string, number> = { n: 10, r: 13, t: 9, f: 12, v: 11, 0: 0 };

/** Errors: RegexError, saying what and where. */
export function parseRegex(source: string): RegexNode {
  return new Parser(source).whole();
}

class Parser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#characters = Array.from(source);
  }

  whole(): RegexNode {
    const node = this.#choice();
    if (this.#at < this.#characters.length) this.#fail('unmatched ")"');
    return node;
  }

  get #next(): string | undefined {
    return this.#characters[this.#at];
  }

  #fail(what: string): never {
    throw new RegexError(`${what} at character ${this.#at + 1} of the regular expression`);
  }

  #takeIf(character: string): boolean {
    if (this.#next !== character) return false;
    this.#at++;
    return true;
  }

  #choice(): RegexNode {
    if (++this.#depth > 100) this.#fail('nested too deeply');
    const branches = [this.#sequence()];
    while (this.#takeIf('|')) branches.push(this.#sequence());
    this.#depth--;
    return branches.length === 1 ? branches[0]! : { kind: 'choice', branches };
  }

  #sequence(): RegexNode {
    const parts: RegexNode[] = [];
    while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') parts.push(this.#quantified());
    return { kind: 'sequence', parts };
  }

  #quantified(): RegexNode {
    let node = this.#atom();
    for (let bounds = this.#quantifier(); bounds; bounds = this.#quantifier()) {
      if (node.kind === 'start' || node.kind === 'end') this.#fail('a repeated anchor');
      node = { kind: 'repeat', part: node, ...bounds };
      this.#takeIf('?');
    }
    return node;
  }

  #quantifier(): { min: number; max: number | null } | null {
    if (this.#takeIf('*')) return { min: 0, max: null };
    if (this.#takeIf('+')) return { min: 1, max: null };
    if (this.#takeIf('?')) return { min: 0, max: 1 };
    if (this.#next !== '{') return null;
    const match = /^\{(\d+)(,(\d*))?\}/.exec(this.#characters.slice(this.#at, this.#at + 24).join(''));
    if (!match) this.#fail('"{" without a count');
    const [all, min, comma, max] = match;
    const bounds = { min: Number(min), max: comma === undefined ? Number(min) : max ? Number(max) : null };
    if (Math.max(bounds.min, bounds.max ?? 0) > MAX_REPEATS) this.#fail(`more than ${MAX_REPEATS} repetitions`);
    if (bounds.max !== null && bounds.max < bounds.min) this.#fail('a count whose bounds are out of order');
    this.#at += all.length;
    return bounds;
  }

  #atom(): RegexNode {
    const character = this.#characters[this.#at++]!;
    if (character === '^') return { kind: 'start' };
    if (character === '$') return { kind: 'end' };
    if (character === '.') return { kind: 'set', ranges: complement(LINE_ENDS) };
    if (character === '(') return this.#group();
    if (character === '[') return { kind: 'set', ranges: this.#class() };
    if (character === '\\') return { kind: 'set', ranges: this.#escape() };
    if ('*+?'.includes(character)) this.#fail('nothing to repeat');
    return { kind: 'set', ranges: [range(character)] };
  }

  #group(): RegexNode {
    if (this.#takeIf('?')) {
      const rest = this.#characters.slice(this.#at, this.#at + 64).join('');
      const name = /^(:|<[A-Za-z_]\w*>)/.exec(rest);
      if (!name) this.#fail('lookaround (only groups are supported)');
      this.#at += name[0].length;
    }
    const node = this.#choice();
    if (!this.#takeIf(')')) this.#fail('unmatched "("');
    return node;
  }

  #class(): readonly CodePointRange[] {
    const isNegated = this.#takeIf('^');
    const ranges: CodePointRange[] = [];
    while (!this.#takeIf(']')) {
      const first = this.#classItem();
      const isRange = this.#next === '-' && this.#characters[this.#at + 1] !== ']';
      if (!isRange || first.length !== 1 || first[0]![0] !== first[0]![1]) {
        ranges.push(...first);
        continue;
      }
      this.#at++;
      const last = this.#classItem();
      if (last.length !== 1 || last[0]![0] < first[0]![0]) this.#fail('a range that is out of order');
      ranges.push([first[0]![0], last[0]![1]]);
    }
    const all = normalised(ranges);
    return isNegated ? complement(all) : all;
  }

  #classItem(): readonly CodePointRange[] {
    const character = this.#characters[this.#at++];
    if (character === undefined) return this.#fail('unmatched "["');
    if (character !== '\\') return [range(character)];
    if (this.#takeIf('b')) return [[8, 8]];
    return this.#escape();
  }

  #escape(): readonly CodePointRange[] {
    const character = this.#characters[this.#at++];
    if (character === undefined) return this.#fail('"\\" at the end');
    const set = SETS[character];
    if (set) return set;
    const control = CONTROLS[character];
    if (control !== undefined) return [[control, control]];
    if (character === 'x') return this.#hexadecimal(/^[0-9a-fA-F]{2}/);
    if (character === 'u') return this.#hexadecimal(/^(?:\{[0-9a-fA-F]{1,6}\}|[0-9a-fA-F]{4})/);
    if (/[A-Za-z0-9]/.test(character)) this.#fail(`"\\${character}"`);
    return [range(character)];
  }

  #hexadecimal(pattern: RegExp): readonly CodePointRange[] {
    const match = pattern.exec(this.#characters.slice(this.#at, this.#at + 8).join(''));
    const codePoint = match ? Number.parseInt(match[0].replace(/[{}]/g, ''), 16) : MAX_CODE_POINT + 1;
    if (codePoint > MAX_CODE_POINT || (codePoint >= 0xd800 && codePoint <= 0xdfff)) this.#fail('no character');
    this.#at += match![0].length;
    return [[codePoint, codePoint]];
  }
}
