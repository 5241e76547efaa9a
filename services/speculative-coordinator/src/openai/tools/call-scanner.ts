/**
 * Reads one call, a JSON object with a name and arguments, character by character: tells the name as soon as it is
 * known, and the arguments' own text as it comes.
 */
type Phase = 'before' | 'key' | 'in key' | 'colon' | 'value' | 'in value' | 'done' | 'broken';

export class CallScanner {
  /** Everything that was read, for those who take it back as text. */
  text = '';
  name: string | null = null;
  argumentsText = '';
  #phase: Phase = 'before';
  #key = '';
  #value = '';
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  get isDone(): boolean {
    return this.#phase === 'done';
  }

  /** It is no call. */
  get isBroken(): boolean {
    return this.#phase === 'broken';
  }

  push(character: string): void {
    this.text += character;
    this.#step(character);
  }

  #step(character: string): void {
    const isSpace = /\s/.test(character);
    switch (this.#phase) {
      case 'before':
        if (!isSpace) this.#phase = character === '{' ? 'key' : 'broken';
        return;
      case 'key':
        if (isSpace || character === ',') return;
        if (character === '}') this.#phase = this.name === null ? 'broken' : 'done';
        else this.#begin(character === '"' ? 'in key' : 'broken', character);
        return;
      case 'in key':
        this.#value += character;
        if (!this.#endsString(character)) return;
        this.#key = String(parsed(this.#value));
        this.#phase = 'colon';
        return;
      case 'colon':
        if (!isSpace) this.#phase = character === ':' ? 'value' : 'broken';
        return;
      case 'value':
        if (!isSpace) this.#begin('in value', '', character);
        return;
      case 'in value':
        this.#inValue(character);
        return;
      default:
    }
  }

  #begin(phase: Phase, value: string, then?: string): void {
    this.#phase = phase;
    this.#value = value;
    this.#depth = 0;
    this.#isInString = phase === 'in key';
    this.#isEscaped = false;
    if (then !== undefined) this.#inValue(then);
  }

  #inValue(character: string): void {
    const isBare = this.#depth === 0 && !this.#isInString && this.#value !== '';
    if (isBare && /[,}\s]/.test(character)) {
      this.#endValue();
      this.#step(character);
      return;
    }
    this.#value += character;
    if (this.#isArguments && /^[{[]/.test(this.#value)) this.argumentsText += character;
    if (this.#isInString) {
      if (this.#endsString(character) && this.#depth === 0) this.#endValue();
      return;
    }
    if (character === '"') this.#isInString = true;
    else if (character === '{' || character === '[') this.#depth++;
    else if ((character === '}' || character === ']') && --this.#depth === 0) this.#endValue();
  }

  get #isArguments(): boolean {
    return this.#key === 'arguments' || this.#key === 'parameters';
  }

  /** Whether this character ends the string that one is in. */
  #endsString(character: string): boolean {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (character === '\\') this.#isEscaped = true;
    else if (character === '"') {
      this.#isInString = false;
      return true;
    }
    return false;
  }

  #endValue(): void {
    this.#phase = 'key';
    const value = /^[{[]/.test(this.#value) ? undefined : parsed(this.#value);
    if (this.#key === 'name') this.name = typeof value === 'string' ? value : null;
    // Some models write the arguments' JSON into a string.
    if (this.#isArguments && typeof value === 'string') this.argumentsText = value;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
