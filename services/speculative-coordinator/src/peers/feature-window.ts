/** The target's hidden states of the latest committed tokens, as many as a byte budget allows. */
export class FeatureWindow {
  readonly width: number;
  readonly maxRows: number;
  #rows: Float16Array; // [capacity, width]; row 0 belongs to position #start
  #start = 0;
  #numRows = 0;

  constructor(width: number, maxBytes: number) {
    this.width = width;
    this.maxRows = Math.max(1, Math.floor(maxBytes / (2 * width)));
    this.#rows = new Float16Array(Math.min(2 * this.maxRows, 256) * width);
  }

  /** First position that is held. */
  get start(): number {
    return this.#start;
  }

  /** Position after the last one that is held. */
  get end(): number {
    return this.#start + this.#numRows;
  }

  /** Adds the rows of positions `position` ... A gap makes the window begin anew; known positions are overwritten. */
  append(position: number, rows: Float16Array): void {
    if (position > this.end || position < this.#start) {
      this.#start = position;
      this.#numRows = 0;
    }
    const at = position - this.#start;
    const numRows = at + rows.length / this.width;
    this.#reserve(numRows, at);
    this.#rows.set(rows, at * this.width);
    this.#numRows = numRows;
    const surplus = numRows - 2 * this.maxRows;
    if (surplus > 0) this.#dropFirst(numRows - this.maxRows);
  }

  /** Rows of positions from `position` to `end`, a view until the next append; null when some are not held. */
  slice(position: number, end: number): Float16Array | null {
    if (position < Math.max(this.#start, this.end - this.maxRows) || end > this.end) return null;
    return this.#rows.subarray((position - this.#start) * this.width, (end - this.#start) * this.width);
  }

  /** First position that `slice` still gives. */
  get firstUsable(): number {
    return Math.max(this.#start, this.end - this.maxRows);
  }

  #reserve(numRows: number, numKept: number): void {
    if (numRows * this.width <= this.#rows.length) return;
    const grown = new Float16Array(Math.max(numRows, (2 * this.#rows.length) / this.width) * this.width);
    grown.set(this.#rows.subarray(0, numKept * this.width));
    this.#rows = grown;
  }

  #dropFirst(numRows: number): void {
    this.#rows.copyWithin(0, numRows * this.width, this.#numRows * this.width);
    this.#start += numRows;
    this.#numRows -= numRows;
  }
}
