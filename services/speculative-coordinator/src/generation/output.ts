/**
 * The answer as it grows: token ids, text, and the rules that end it. Tokens go in one at a time, accepted ones too, so
 * that an end-of-sequence token, a stop string or the length ends the answer at exactly the right place, wherever in a
 * round it falls. Text comes out in whole characters, and what may be the beginning of a stop string is held back.
 */
import type { FinishReason, Provenance } from '@forerunner/protocol';
import type { IncrementalDecoder } from '@forerunner/tokenizer';

export interface OutputRules {
  readonly maxNewTokens: number;
  readonly stop: readonly string[];
  /** Tokens that end the answer: end-of-sequence, unless that is to be ignored, and the request's own. */
  readonly stopTokenIds: readonly number[];
  /** What ended the answer stays in its text. Default: false. */
  readonly includeStop?: boolean | undefined;
  /** Stop rules, but for the length, look at nothing before so many tokens are there. Default: 0. */
  readonly minNewTokens?: number | undefined;
}

export class Output {
  readonly tokenIds: number[] = [];
  readonly provenance: Provenance[] = [];
  readonly #rules: OutputRules;
  readonly #decoder: IncrementalDecoder;
  readonly #longestStop: number;
  readonly #minNewTokens: number;
  #text = '';
  /** Stop strings are looked for from here on. */
  #searchStart = 0;
  #numReleasedChars = 0;
  #finishReason: FinishReason | null = null;
  #endsWithStopToken = false;

  constructor(rules: OutputRules, decoder: IncrementalDecoder) {
    this.#rules = rules;
    this.#decoder = decoder;
    this.#longestStop = Math.max(0, ...rules.stop.map((stop) => stop.length));
    this.#minNewTokens = rules.minNewTokens ?? 0;
    if (rules.maxNewTokens === 0) this.#finishReason = 'length';
  }

  /** null while the answer goes on. */
  get finishReason(): FinishReason | null {
    return this.#finishReason;
  }

  /** Whether the last token ended the answer; false where a stop string did, or the length. */
  get endsWithStopToken(): boolean {
    return this.#endsWithStopToken;
  }

  /** The text so far; without the stop string once that ended it. */
  get text(): string {
    return this.#text;
  }

  get numRemainingTokens(): number {
    return this.#rules.maxNewTokens - this.tokenIds.length;
  }

  /**
   * Appends one token and returns the text that it added: whole characters, '' while one is incomplete. Once this has
   * set a finish reason, no more may come.
   */
  push(tokenId: number, provenance: Provenance): string {
    const numChars = this.#text.length;
    this.#push(tokenId, provenance);
    return this.#text.slice(numChars);
  }

  #push(tokenId: number, provenance: Provenance): void {
    if (this.#finishReason) throw new Error('the answer has ended');
    this.tokenIds.push(tokenId);
    this.provenance.push(provenance);
    if (this.#mayEnd && this.#rules.stopTokenIds.includes(tokenId)) {
      if (this.#rules.includeStop) this.#append(this.#decoder.push(tokenId));
      this.#append(this.#decoder.flush());
      this.#endsWithStopToken = this.#finishReason === null; // no stop string before it
      this.#finishReason = 'stop';
      return;
    }
    this.#append(this.#decoder.push(tokenId));
    if (this.#finishReason || this.numRemainingTokens > 0) return;
    this.#append(this.#decoder.flush());
    this.#finishReason ??= 'length'; // a stop string at the very end beats the length
  }

  /** Text that has not been released yet and can no longer change. */
  takeReleasable(): string {
    const end = this.#finishReason ? this.#text.length : this.#text.length - this.#numHeldBackChars();
    const released = this.#text.slice(this.#numReleasedChars, end);
    this.#numReleasedChars = Math.max(end, this.#numReleasedChars);
    return released;
  }

  get #mayEnd(): boolean {
    return this.tokenIds.length > this.#minNewTokens;
  }

  /** Adds text and ends the answer at the earliest stop string in it. */
  #append(piece: string): void {
    if (piece === '') return;
    const from = Math.max(this.#searchStart, this.#text.length - this.#longestStop + 1);
    this.#text += piece;
    if (!this.#mayEnd) {
      this.#searchStart = this.#text.length;
      return;
    }
    const found = this.#rules.stop
      .map((stop) => ({ stop, start: this.#text.indexOf(stop, from) }))
      .filter(({ start }) => start >= 0);
    if (found.length === 0) return;
    const { stop, start } = found.reduce((first, one) => (one.start < first.start ? one : first));
    this.#text = this.#text.slice(0, start + (this.#rules.includeStop ? stop.length : 0));
    this.#finishReason = 'stop';
  }

  /** Length of the longest end of the text that may be the beginning of a stop string. */
  #numHeldBackChars(): number {
    for (let length = Math.min(this.#longestStop - 1, this.#text.length); length > 0; length--) {
      const end = this.#text.slice(-length);
      if (this.#rules.stop.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
