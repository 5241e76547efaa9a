/**
 * The token ids of a sequence with a rolling digest of every prefix, so that two sides can check with 16 characters
 * that they mean the same text. Not cryptographic: it catches mistakes, not attackers.
 */

/** Digest of the empty prefix. */
const SEED_A = 0x811c9dc5;
const SEED_B = 0x9e3779b9;

export class TokenPrefix {
  #ids: Int32Array;
  #digests: Uint32Array; // two lanes a position: the digest of the prefix that ends there
  #length = 0;

  constructor(initialCapacity = 64) {
    this.#ids = new Int32Array(initialCapacity);
    this.#digests = new Uint32Array(2 * initialCapacity);
  }

  get length(): number {
    return this.#length;
  }

  /** The ids from `start` to `end`: a view, valid until the next append. */
  ids(start = 0, end = this.#length): Int32Array {
    return this.#ids.subarray(start, Math.min(end, this.#length));
  }

  append(tokenIds: ArrayLike<number>): void {
    this.#reserve(this.#length + tokenIds.length);
    for (let i = 0; i < tokenIds.length; i++) {
      const at = this.#length;
      const id = tokenIds[i]!;
      const a = at === 0 ? SEED_A : this.#digests[2 * at - 2]!;
      const b = at === 0 ? SEED_B : this.#digests[2 * at - 1]!;
      this.#ids[at] = id;
      this.#digests[2 * at] = mix(a ^ id, 0x01000193);
      this.#digests[2 * at + 1] = mix(b + id, 0x85ebca6b);
      this.#length++;
    }
  }

  /** Forgets everything from position `length` on. */
  truncate(length: number): void {
    if (length < 0 || length > this.#length)
      throw new RangeError(`cannot truncate ${this.#length} tokens to ${length}`);
    this.#length = length;
  }

  /** 16 hexadecimal digits for the first `length` tokens. */
  digestAt(length: number): string {
    if (length < 0 || length > this.#length) throw new RangeError(`no digest at ${length} of ${this.#length} tokens`);
    const a = length === 0 ? SEED_A : this.#digests[2 * length - 2]!;
    const b = length === 0 ? SEED_B : this.#digests[2 * length - 1]!;
    return a.toString(16).padStart(8, '0') + b.toString(16).padStart(8, '0');
  }

  #reserve(capacity: number): void {
    if (capacity <= this.#ids.length) return;
    const grown = Math.max(capacity, 2 * this.#ids.length);
    const ids = new Int32Array(grown);
    ids.set(this.#ids.subarray(0, this.#length));
    const digests = new Uint32Array(2 * grown);
    digests.set(this.#digests.subarray(0, 2 * this.#length));
    this.#ids = ids;
    this.#digests = digests;
  }
}

/** A multiplicative step followed by murmur3's finaliser (Appleby 2011, public domain constants). */
function mix(value: number, multiplier: number): number {
  let h = Math.imul(value, multiplier);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
