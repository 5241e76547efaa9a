/**
 * Random numbers by address instead of by order: a uniform is a pure function of (seed, stream, position, index), so
 * batching, retries and restarts cannot change a draw. Streams keep the noise of different uses independent.
 *
 * Draft draws and accept tests put the token's place in its round into `index`. With the position that names the round,
 * so that no number is used in two rounds: block verification judges a position by later ones, and what lies behind a
 * refusal must not be drawn again with noise that was looked at.
 */
import { SamplingError } from './errors.ts';
import { philox4x32 } from './philox.ts';

/** What a number is for. Values are part of what a seed means: never renumber, only add. */
export const STREAM = {
  /** The draft's own draw from q, independent of the target's noise. */
  draftDraw: 0,
  /** The u of the accept test. */
  acceptance: 1,
  /** The token that follows the accepted ones (recovered or bonus); addressed by the round's first position. */
  followDraw: 2,
  /** The noise that draft and target share (coupled-noise.ts): the least of a block of ids, and each of the others. */
  coupledBlock: 3,
  coupledToken: 4,
} as const;

const DOMAIN_UNIFORM = 0;
const DOMAIN_DERIVE = 1;

export class CounterRng {
  readonly #key0: number;
  readonly #key1: number;
  readonly #block = new Uint32Array(4);

  /** `seed`: a whole number from 0 to 2^53 - 1, or a bigint, of which the low 64 bits count. Errors: invalid_argument. */
  constructor(seed: bigint | number) {
    [this.#key0, this.#key1] = keyOf(seed);
  }

  /**
   * A number in (0, 1] with 53 random bits. `stream` is one of STREAM, `position` the absolute position of the token
   * in its sequence; `index` tells several numbers of one position apart. Each is a whole number below 2^32.
   */
  uniform(stream: number, position: number, index = 0): number {
    const block = this.#block;
    block[0] = position;
    block[1] = index >>> 1;
    block[2] = stream;
    block[3] = DOMAIN_UNIFORM;
    philox4x32(block, this.#key0, this.#key1);
    const lane = (index & 1) << 1; // one block serves two neighbouring indexes
    return (bits53(block[lane]!, block[lane + 1]!) + 1) * 2 ** -53;
  }
}

/**
 * A seed for a named part of a request (`"draft"`, `"choice/1"`, ...), 0 to 2^53 - 1. Equal inputs give equal seeds;
 * different labels or seeds give unrelated ones. Errors: invalid_argument.
 */
export function deriveSeed(seed: bigint | number, label: string): number {
  const hash = fnv1a64(label);
  const block = Uint32Array.of(Number(hash & 0xffffffffn), Number(hash >> 32n), label.length, DOMAIN_DERIVE);
  philox4x32(block, ...keyOf(seed));
  return bits53(block[0]!, block[1]!);
}

function bits53(high: number, low: number): number {
  return (high >>> 5) * 2 ** 26 + (low >>> 6);
}

function keyOf(seed: bigint | number): [number, number] {
  if (typeof seed === 'number' && !(Number.isSafeInteger(seed) && seed >= 0)) {
    throw new SamplingError('invalid_argument', `a seed must be a whole number from 0 to 2^53 - 1, got ${seed}`);
  }
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits & 0xffffffffn), Number(bits >> 32n)];
}

/** FNV-1a over the UTF-8 bytes. */
function fnv1a64(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}
