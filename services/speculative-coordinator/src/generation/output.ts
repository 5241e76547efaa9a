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
  /** Empty when the answer is to go on after an end-of-sequence token. */
  readonly eosTokenIds: readonly number[];
}

export class Output {
  readonly tokenIds: number[] = [];
  readonly provenance: Provenance[] = [];
  readonly #rules: OutputRules;
  readonly #decoder: IncrementalDecoder;
  readonly #longestStop: number;
  #text = '';
  #numReleasedChars = 0;
  #finishReason: FinishReason | null = null;

  constructor(rules: OutputRules, decoder: IncrementalDecoder) {
    this.#rules = rules;
    this.#decoder = decoder;
    this.#longestStop = Math.max(0, ...rules.stop.map((stop) => stop.length));
  }

  /** null while the answer goes on. */
  get finishReason(): FinishReason | null {
    return this.#finishReason;
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
    if (this.#rules.eosTokenIds.includes(tokenId)) {
      this.#append(this.#decoder.flush());
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

  /** Adds text and ends the answer before the earliest stop string in it. */
  #append(piece: string): void {
    if (piece === '') return;
    const from = Math.max(0, this.#text.length - this.#longestStop + 1);
    this.#text += piece;
    const starts = this.#rules.stop.map((stop) => this.#text.indexOf(stop, from)).filter((start) => start >= 0);
    if (starts.length === 0) return;
    this.#text = this.#text.slice(0, Math.min(...starts));
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
