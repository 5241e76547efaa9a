/**
 * The target's hidden states of the latest committed tokens, as many as a byte budget allows: a ring of rows in blocks
 * that are made when first written, so that memory never exceeds the budget (or one row, if the budget is smaller).
 */

const BLOCK_ROWS = 256;

export class HiddenStateWindow {
  readonly width: number;
  readonly maxRows: number;
  /** A position's slot is its remainder by maxRows; each block holds BLOCK_ROWS slots, the last one what is left. */
  readonly #blocks: Float16Array[] = []; // each [BLOCK_ROWS, width]
  #start = 0;
  #end = 0;

  constructor(width: number, maxBytes: number) {
    this.width = width;
    this.maxRows = Math.max(1, Math.floor(maxBytes / (2 * width)));
  }

  /** First position that is held. */
  get firstUsable(): number {
    return this.#start;
  }

  /** Position after the last one that is held. */
  get end(): number {
    return this.#end;
  }

  /** Memory that the rows take. */
  get numBytes(): number {
    return this.#blocks.reduce((sum, block) => sum + block.byteLength, 0);
  }

  /** Adds the rows of positions `position` ... A gap makes the window begin anew; known positions are overwritten. */
  append(position: number, rows: Float16Array): void {
    if (position > this.#end || position < this.#start) this.#start = position;
    this.#end = position + rows.length / this.width;
    this.#start = Math.max(this.#start, this.#end - this.maxRows);
    for (let p = Math.max(position, this.#start); p < this.#end; p++) {
      const at = (p - position) * this.width;
      this.#row(p).set(rows.subarray(at, at + this.width));
    }
  }

  /** A copy of the rows of positions from `position` to `end`; null when some are not held. */
  slice(position: number, end: number): Float16Array<ArrayBuffer> | null {
    if (position < this.#start || end > this.#end) return null;
    const rows = new Float16Array((end - position) * this.width);
    for (let p = position; p < end; p++) rows.set(this.#row(p), (p - position) * this.width);
    return rows;
  }

  #row(position: number): Float16Array {
    const slot = position % this.maxRows;
    const index = Math.floor(slot / BLOCK_ROWS);
    const numSlots = Math.min(BLOCK_ROWS, this.maxRows - index * BLOCK_ROWS);
    this.#blocks[index] ??= new Float16Array(numSlots * this.width);
    const at = (slot % BLOCK_ROWS) * this.width;
    return this.#blocks[index].subarray(at, at + this.width);
  }
}
