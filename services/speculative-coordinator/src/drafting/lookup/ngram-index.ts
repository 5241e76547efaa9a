/**
 * Where the last tokens of an answer stand in a text that grows: the place after any two tokens is chained to the one
 * before it whose two tokens hash alike (the hash chains of LZ77 compressors: RFC 1951, section 4). A token costs one
 * step and 12 to 16 bytes, and a search at most MAX_CANDIDATES comparisons, whatever the text repeats. All occurrences
 * can be told apart, which a suffix automaton cannot do (docs/decisions/0026-lookup-drafts.md).
 */

/** Shorter matches are not found. */
const MIN_MATCH = 2;
/** No longer match is told from this one. */
export const MAX_MATCH = 32;
/** Places that one search looks at, the latest first. */
const MAX_CANDIDATES = 512;

export interface Occurrence {
  /** Position after the occurrence: the token there followed it. */
  readonly end: number;
  /** Tokens that agree, at most MAX_MATCH. */
  readonly length: number;
}

export interface Search {
  readonly minMatch: number;
  /** Of equally long matches: the first one behind this position, from the beginning again at the end; null: the latest. */
  readonly near: number | null;
}

export class NgramIndex {
  #text: Int32Array = new Int32Array(0);
  /** The latest place of each hash; 0: none, since no place lies before two tokens. */
  #latest = new Int32Array(0); // [a power of two]
  /** For each place the one before it with the same hash. */
  #earlier = new Int32Array(0); // [capacity + 1]
  #numIndexed = 0;

  get length(): number {
    return this.#text.length;
  }

  /** The text so far, or what it has grown to: only what is new is read. It must not change later. */
  extend(text: Int32Array): void {
    this.#text = text;
    if (text.length > this.#latest.length) this.#grow(text.length);
    while (this.#numIndexed < text.length) this.#add(++this.#numIndexed);
  }

  tokenAt(position: number): number | undefined {
    return this.#text[position];
  }

  /** The longest occurrence of the last tokens of `query` that a token follows; null: none of `minMatch` tokens. */
  find(query: Int32Array, { minMatch, near }: Search): Occurrence | null {
    if (query.length < MIN_MATCH || this.#text.length === 0) return null;
    let best: Occurrence = { end: 0, length: 0 };
    let end = this.#latest[this.#slot(query, query.length)]!;
    for (let i = 0; i < MAX_CANDIDATES && end !== 0; i++, end = this.#earlier[end]!) {
      if (end === this.#text.length) continue;
      const length = this.#commonLength(query, end);
      if (length < minMatch || length < best.length) continue;
      const isNearer = near !== null && distance(near, end) < distance(near, best.end);
      if (length === best.length && !isNearer) continue;
      best = { end, length };
      if (length === MAX_MATCH && near === null) break;
    }
    return best.length > 0 ? best : null;
  }

  /** How many of the last tokens of `query` stand before `end`. */
  #commonLength(query: Int32Array, end: number): number {
    const limit = Math.min(MAX_MATCH, end, query.length);
    let length = 0;
    while (length < limit && this.#text[end - 1 - length] === query[query.length - 1 - length]) length++;
    return length;
  }

  #add(end: number): void {
    if (end < MIN_MATCH) return;
    const slot = this.#slot(this.#text, end);
    this.#earlier[end] = this.#latest[slot]!;
    this.#latest[slot] = end;
  }

  /** By the two tokens before `end`. */
  #slot(tokens: Int32Array, end: number): number {
    const h = Math.imul(tokens[end - 2]!, 0x9e3779b1) ^ Math.imul(tokens[end - 1]!, 0x85ebca6b);
    return (h ^ (h >>> 15)) & (this.#latest.length - 1);
  }

  #grow(capacity: number): void {
    const size = 2 ** Math.ceil(Math.log2(Math.max(64, capacity)));
    this.#latest = new Int32Array(size);
    this.#earlier = new Int32Array(size + 1);
    this.#numIndexed = 0; // every place has another slot
  }
}

/** From `near` onwards to `end`; what lies at or before `near` comes last. */
const distance = (near: number, end: number): number => (end > near ? end - near : end - near + 2 ** 31);
