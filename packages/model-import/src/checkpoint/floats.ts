/** Plain float formats → float32, exactly. Little-endian bytes. */

/** Bytes [2n] of bfloat16: the upper half of a float32. */
export function bfloat16ToFloat32(bytes: Uint8Array): Float32Array {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return new Float32Array(bits.buffer);
}

/** Bytes [2n]. */
export function float16ToFloat32(bytes: Uint8Array): Float32Array {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = FLOAT16_VALUES[halves[i]!]!;
  return values;
}

/** One value, of its two bytes. */
export function float16At(bytes: Uint8Array, offset: number): number {
  return FLOAT16_VALUES[bytes[offset]! | (bytes[offset + 1]! << 8)]!;
}

/** Bytes [4n]; the same memory. */
export function asFloat32(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** A look-up is several times faster than a Float16Array here. */
const FLOAT16_VALUES = Float32Array.from(new Float16Array(Uint16Array.from({ length: 65_536 }, (_, i) => i).buffer));
