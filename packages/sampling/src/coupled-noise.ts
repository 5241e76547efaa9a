/**
 * The noise that draft and target share when their draws are coupled: an exponential variable E(v) for each token id v,
 * a pure function of (seed, position, v). docs/coupled-sampling.md specifies it bit for bit.
 *
 * The least of 256 independent exponentials is one of 256 times the rate, equally likely at each of them, and the others
 * exceed it by exponentials of their own. So the noise of 256 neighbouring ids is made from its least value
 * downwards: whoever looks for the least E(v)/p(v) passes over most of a vocabulary with one number per block.
 */
import { negativeLog } from './log.ts';
import { CounterRng, STREAM } from './rng.ts';

/** Token ids of a block: 256 · block ... 256 · block + 255, however large the vocabulary is. */
export const NOISE_BLOCK_SIZE = 256;

export const noiseBlockOf = (tokenId: number): number => Math.floor(tokenId / NOISE_BLOCK_SIZE);

/** The noise of one seed at one position. */
export class CoupledNoise {
  readonly #rng: CounterRng;
  readonly #position: number;
  /** The block that was looked at last. */
  #block = -1;
  #minimum = 0;
  #minimumTokenId: number | null = null;

  /** `position` is the absolute position of the token that is drawn. Errors: invalid_argument for a seed. */
  constructor(seed: number, position: number) {
    this.#rng = new CounterRng(seed);
    this.#position = position;
  }

  /** The least E(v) of a block. */
  minimumOf(block: number): number {
    if (block !== this.#block) {
      this.#block = block;
      this.#minimum = negativeLog(this.#rng.uniform(STREAM.coupledBlock, this.#position, 2 * block)) / NOISE_BLOCK_SIZE;
      this.#minimumTokenId = null;
    }
    return this.#minimum;
  }

  /** E(tokenId). */
  exponential(tokenId: number): number {
    const block = noiseBlockOf(tokenId);
    const minimum = this.minimumOf(block);
    this.#minimumTokenId ??= this.#tokenIdOfMinimum(block);
    if (tokenId === this.#minimumTokenId) return minimum;
    return minimum + negativeLog(this.#rng.uniform(STREAM.coupledToken, this.#position, tokenId));
  }

  #tokenIdOfMinimum(block: number): number {
    const u = this.#rng.uniform(STREAM.coupledBlock, this.#position, 2 * block + 1);
    return block * NOISE_BLOCK_SIZE + Math.ceil(u * NOISE_BLOCK_SIZE) - 1;
  }
}
