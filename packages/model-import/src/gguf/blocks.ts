/**
 * The block formats of ggml → float32, exactly as ggml-quants.c and gguf-py read them. A row of a tensor is a whole number
 * of blocks; `decode` writes one block of `bytes` at `at` to `out`.
 */
import { asFloat32, bfloat16ToFloat32, float16At, float16ToFloat32 } from '../checkpoint/floats.ts';

export interface BlockFormat {
  readonly name: string;
  readonly values: number;
  readonly bytes: number;
  /** [blocks · bytes] → [blocks · values]. */
  decode(bytes: Uint8Array): Float32Array;
}

type DecodeBlock = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

function blocks(name: string, values: number, numBytes: number, decodeBlock: DecodeBlock): BlockFormat {
  const decode = (bytes: Uint8Array) => {
    const count = bytes.length / numBytes;
    const out = new Float32Array(count * values);
    for (let block = 0; block < count; block++) decodeBlock(bytes, block * numBytes, out, block * values);
    return out;
  };
  return { name, values, bytes: numBytes, decode };
}

const q4_0: DecodeBlock = (bytes, at, out, to) => {
  const scale = float16At(bytes, at);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]!;
    out[to + i] = ((pair & 15) - 8) * scale;
    out[to + 16 + i] = ((pair >> 4) - 8) * scale;
  }
};

const q4_1: DecodeBlock = (bytes, at, out, to) => {
  const [scale, min] = [float16At(bytes, at), float16At(bytes, at + 2)];
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 4 + i]!;
    out[to + i] = (pair & 15) * scale + min;
    out[to + 16 + i] = (pair >> 4) * scale + min;
  }
};

/** Bit `i` of the 32 bits at `at`, as the fifth bit of a code. */
const fifthBit = (bytes: Uint8Array, at: number, i: number): number => ((bytes[at + (i >> 3)]! >> (i & 7)) & 1) << 4;

const q5_0: DecodeBlock = (bytes, at, out, to) => {
  const scale = float16At(bytes, at);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 6 + i]!;
    out[to + i] = (((pair & 15) | fifthBit(bytes, at + 2, i)) - 16) * scale;
    out[to + 16 + i] = (((pair >> 4) | fifthBit(bytes, at + 2, i + 16)) - 16) * scale;
  }
};

const q5_1: DecodeBlock = (bytes, at, out, to) => {
  const [scale, min] = [float16At(bytes, at), float16At(bytes, at + 2)];
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 8 + i]!;
    out[to + i] = ((pair & 15) | fifthBit(bytes, at + 4, i)) * scale + min;
    out[to + 16 + i] = ((pair >> 4) | fifthBit(bytes, at + 4, i + 16)) * scale + min;
  }
};

const q8_0: DecodeBlock = (bytes, at, out, to) => {
  const scale = float16At(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = signed(bytes[at + 2 + i]!) * scale;
};

/** Eight pairs of six bits in twelve bytes: scale and minimum of each 32 values of a K block. */
function scaleAndMin(bytes: Uint8Array, at: number, index: number): [scale: number, min: number] {
  const byte = (i: number) => bytes[at + i]!;
  if (index < 4) return [byte(index) & 63, byte(index + 4) & 63];
  const low = byte(index + 4);
  return [(low & 15) | ((byte(index - 4) >> 6) << 4), (low >> 4) | ((byte(index) >> 6) << 4)];
}

const q4_k: DecodeBlock = (bytes, at, out, to) => {
  const [scale, min] = [float16At(bytes, at), float16At(bytes, at + 2)];
  for (let half = 0; half < 8; half++) {
    const [blockScale, blockMin] = scaleAndMin(bytes, at + 4, half);
    const [factor, offset] = [scale * blockScale, min * blockMin];
    const codes = at + 16 + (half >> 1) * 32;
    const shift = 4 * (half & 1);
    for (let i = 0; i < 32; i++) out[to + half * 32 + i] = factor * ((bytes[codes + i]! >> shift) & 15) - offset;
  }
};

const q5_k: DecodeBlock = (bytes, at, out, to) => {
  const [scale, min] = [float16At(bytes, at), float16At(bytes, at + 2)];
  for (let half = 0; half < 8; half++) {
    const [blockScale, blockMin] = scaleAndMin(bytes, at + 4, half);
    const [factor, offset] = [scale * blockScale, min * blockMin];
    const codes = at + 48 + (half >> 1) * 32;
    const shift = 4 * (half & 1);
    for (let i = 0; i < 32; i++) {
      const high = ((bytes[at + 16 + i]! >> half) & 1) << 4;
      out[to + half * 32 + i] = factor * (((bytes[codes + i]! >> shift) & 15) | high) - offset;
    }
  }
};

const q6_k: DecodeBlock = (bytes, at, out, to) => {
  const scale = float16At(bytes, at + 208);
  for (let group = 0; group < 8; group++) {
    // Two halves of 128 values; in each, four groups of 32 share the low bytes by twos and the high bytes by fours.
    const [half, part] = [group >> 2, group & 3];
    const low = at + half * 64 + (part & 1) * 32;
    const high = at + 128 + half * 32;
    for (let i = 0; i < 32; i++) {
      const code = ((bytes[low + i]! >> (4 * (part >> 1))) & 15) | (((bytes[high + i]! >> (2 * part)) & 3) << 4);
      const blockScale = signed(bytes[at + 192 + half * 8 + part * 2 + (i >> 4)]!);
      out[to + group * 32 + i] = scale * blockScale * (code - 32);
    }
  }
};

const signed = (byte: number): number => (byte << 24) >> 24;

/** By ggml_type. */
export const BLOCK_FORMATS: Readonly<Record<number, BlockFormat>> = {
  0: { name: 'F32', values: 1, bytes: 4, decode: asFloat32 },
  1: { name: 'F16', values: 1, bytes: 2, decode: float16ToFloat32 },
  2: blocks('Q4_0', 32, 18, q4_0),
  3: blocks('Q4_1', 32, 20, q4_1),
  6: blocks('Q5_0', 32, 22, q5_0),
  7: blocks('Q5_1', 32, 24, q5_1),
  8: blocks('Q8_0', 32, 34, q8_0),
  12: blocks('Q4_K', 256, 144, q4_k),
  13: blocks('Q5_K', 256, 176, q5_k),
  14: blocks('Q6_K', 256, 210, q6_k),
  30: { name: 'BF16', values: 1, bytes: 2, decode: bfloat16ToFloat32 },
};

/** Formats that are refused by name. */
export const OTHER_FORMATS: Readonly<Record<number, string>> = {
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};
