/**
 * Weights in blocks of 32 along the input, one scale each: what MatMulNBits and GatherBlockQuantized read. Symmetric, so
 * that no zero points are needed: value = (code − middle) · scale. Rows are independent: they come in chunks.
 */

export const BLOCK = 32;

export interface QuantisedRows {
  readonly codes: Uint8Array; // [rows, blocks, 32 · bits / 8]; the lower half of a byte first
  readonly scales: Float32Array; // [rows, blocks]
}

export type Bits = 4 | 8;

/** `values` [rows, columns]; a last block that is not full is filled up with zeros. */
export function quantiseRows(values: Float32Array, columns: number, bits: Bits): QuantisedRows {
  const rows = values.length / columns;
  const blocks = Math.ceil(columns / BLOCK);
  const codes = new Uint8Array((rows * blocks * BLOCK * bits) / 8);
  const scales = new Float32Array(rows * blocks);
  const block = new Float32Array(BLOCK);
  for (let row = 0, index = 0; row < rows; row++) {
    for (let at = 0; at < columns; at += BLOCK, index++) {
      const width = Math.min(BLOCK, columns - at);
      const start = row * columns + at;
      if (width < BLOCK) block.fill(0);
      for (let i = 0; i < width; i++) block[i] = values[start + i]!;
      scales[index] =
        bits === 8 ? quantise8(block, codes, index * BLOCK) : quantise4(block, codes, index * (BLOCK / 2));
    }
  }
  return { codes, scales };
}

/** The largest magnitude becomes ±127. */
function quantise8(block: Float32Array, codes: Uint8Array, at: number): number {
  let largest = 0;
  for (let i = 0; i < BLOCK; i++) largest = Math.max(largest, Math.abs(block[i]!));
  const scale = Math.fround(largest / 127);
  const inverse = scale > 0 ? 1 / scale : 0;
  for (let i = 0; i < BLOCK; i++) codes[at + i] = 128 + Math.round(block[i]! * inverse);
  return scale;
}

/** The value of the largest magnitude becomes −8, the end with the extra step, whatever its sign (as Q4_0 of ggml). */
function quantise4(block: Float32Array, codes: Uint8Array, at: number): number {
  let extreme = 0;
  for (let i = 0; i < BLOCK; i++) if (Math.abs(block[i]!) > Math.abs(extreme)) extreme = block[i]!;
  const scale = extreme === 0 ? 0 : Math.fround(extreme / -8);
  const inverse = scale === 0 ? 0 : 1 / scale;
  const code = (value: number) => Math.min(15, Math.max(0, Math.round(value * inverse) + 8));
  for (let i = 0; i < BLOCK / 2; i++) codes[at + i] = code(block[2 * i]!) | (code(block[2 * i + 1]!) << 4);
  return scale;
}
