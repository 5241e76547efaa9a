import { describe, expect, it } from 'vitest';
import { BLOCK, quantiseRows } from '../src/graph/quantise.ts';

const wave = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7) * (1 + (i % 5)));

/** As MatMulNBits reads them: (code − middle) · scale. */
function restored(values: Float32Array, columns: number, bits: 4 | 8): Float32Array {
  const { codes, scales } = quantiseRows(values, columns, bits);
  const blocks = Math.ceil(columns / BLOCK);
  return values.map((_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const at = row * blocks * BLOCK + column;
    const code = bits === 8 ? codes[at]! : (codes[at >> 1]! >> (4 * (at & 1))) & 15;
    return (code - 2 ** (bits - 1)) * scales[row * blocks + Math.floor(column / BLOCK)]!;
  });
}

describe.each([8, 4] as const)('blocks of %i bits', (bits) => {
  it.each([32, 64, 40])('give rows of %i values back to half a step', (columns) => {
    const values = wave(3 * columns);
    const { scales } = quantiseRows(values, columns, bits);
    const blocks = Math.ceil(columns / BLOCK);
    for (const [i, value] of restored(values, columns, bits).entries()) {
      const scale = Math.abs(scales[Math.floor(i / columns) * blocks + Math.floor((i % columns) / BLOCK)]!);
      // 4 bits have no step beyond +7: what is as large as the largest, with the other sign, is a whole step off.
      expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual(scale * (bits === 8 ? 0.501 : 1.001));
    }
  });

  it('keep zeros', () => {
    expect(restored(new Float32Array(32), 32, bits)).toEqual(new Float32Array(32));
  });

  it('give back exactly what was in such blocks before', () => {
    const largest = bits === 8 ? 127 : -8;
    const codes = Float32Array.from({ length: 32 }, (_, i) => (i === 3 ? largest : ((i * 5) % 15) - 7));
    const values = codes.map((code) => code * 0.125);
    expect(restored(values, 32, bits)).toEqual(values);
  });
});
