/** Output rows are large and live for a moment: buffers go round instead of being made anew for every pass. */

const MAX_IDLE = 8;

export class OutputBuffers {
  readonly #idle: Float32Array[] = [];

  /** At least `length` values, with anything in them. */
  take(length: number): Float32Array {
    const index = this.#idle.findIndex((buffer) => buffer.length >= length && buffer.length <= 4 * length + 4096);
    if (index >= 0) return this.#idle.splice(index, 1)[0]!;
    return new Float32Array(new ArrayBuffer(4 * length));
  }

  giveBack(buffer: Float32Array): void {
    this.#idle.push(buffer);
    if (this.#idle.length > MAX_IDLE) this.#idle.shift();
  }
}
