/** Grammars in XGrammar's notation: literals, choices, repetitions, and rules by name. Knows nothing of what they are for. */

/** A text as it stands; '' is the empty literal. */
export function literal(text: string): string {
  return `"${Array.from(text, (character) => escaped(character)).join('')}"`;
}

function escaped(character: string): string {
  if (/[A-Za-z0-9 {}:,._]/.test(character)) return character;
  return `\\U${character.codePointAt(0)!.toString(16).padStart(8, '0')}`;
}

/** One of several; each must be whole in itself. */
export function anyOf(alternatives: readonly string[]): string {
  return alternatives.length === 1 ? alternatives[0]! : `(${alternatives.join(' | ')})`;
}

/** `item` from `min` to `max` times. */
export function repeated(item: string, min: number, max: number | null): string {
  if (max === 0) return '""';
  if (min === 1 && max === 1) return item;
  if (min === 0 && max === 1) return `(${item})?`;
  if (max === null && min <= 1) return min === 0 ? `(${item})*` : `(${item})+`;
  return `(${item}){${min},${max ?? ''}}`;
}

/** Rules of a grammar under construction. */
export class Rules {
  readonly #bodies = new Map<string, string | null>();
  readonly #nameOfBody = new Map<string, string>();

  /** A name for a rule whose body comes later: for what refers to itself. */
  reserve(): string {
    const name = `r${this.#bodies.size}`;
    this.#bodies.set(name, null);
    return name;
  }

  define(name: string, body: string): void {
    this.#bodies.set(name, body);
  }

  /** The name of a rule with this body; equal bodies are one rule. */
  rule(body: string): string {
    const known = this.#nameOfBody.get(body);
    if (known !== undefined) return known;
    const name = this.reserve();
    this.define(name, body);
    this.#nameOfBody.set(body, name);
    return name;
  }

  /** A rule that refers to itself, made once. */
  named(name: string, body: (name: string) => string): string {
    if (!this.#bodies.has(name)) this.define(name, body(name));
    return name;
  }

  /** The grammar whose text is `root`. */
  toString(root: string): string {
    const lines = Array.from(this.#bodies, ([name, body]) => `${name} ::= ${body}`);
    return [`root ::= ${root}`, ...lines].join('\n');
  }
}
