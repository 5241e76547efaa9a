/** Draws draft tokens from rows of logits, and keeps the distribution of each where it is wanted. */
import type { SequenceLease } from '@forerunner/engine';
import {
  CounterRng,
  CoupledNoise,
  drawCoupled,
  drawFrom,
  probOf,
  type Sampler,
  type SamplingParams,
  STREAM,
  type TextSoFar,
  type TokenDistribution,
} from '@forerunner/sampling';

/**
 * Sampled drafts come from so many likeliest tokens at most. Verification is exact for whatever a draft was drawn from; this
 * much is quick to draw from, and small to ship.
 */
const MAX_SUPPORT = 64;

export interface DrawerOptions {
  readonly params: SamplingParams;
  readonly seed: number;
  /** See ProposeRequest.coupled and noise_offset. */
  readonly isCoupled: boolean;
  readonly noiseOffset: number;
  /** See ProposeRequest.min_confidence; 0 never stops. */
  readonly minConfidence: number;
  /** Position from which penalties count tokens. */
  readonly outputStart: number;
}

export class TokenDrawer {
  readonly draftTokenIds: number[] = []; // [k]
  /** null when greedy, where each distribution is one-hot, and when coupled. */
  readonly distributions: TokenDistribution[] | null; // [k]
  /** The last token fell below the threshold. It stays all the same: dropping a drawn token would bias the output. */
  hasLostConfidence = false;
  readonly #sampler: Sampler;
  readonly #options: DrawerOptions;
  readonly #params: SamplingParams;
  readonly #rng: CounterRng;

  constructor(sampler: Sampler, options: DrawerOptions) {
    const { params, isCoupled, seed } = options;
    this.#sampler = sampler;
    this.#options = options;
    this.#params = { ...params, topK: Math.min(params.topK > 0 ? params.topK : MAX_SUPPORT, MAX_SUPPORT) };
    this.#rng = new CounterRng(seed);
    this.distributions = params.temperature === 0 || isCoupled ? null : [];
  }

  /** `row`: logits of the token that follows everything in the lease. */
  draw(row: Float32Array, lease: SequenceLease): void {
    const { outputStart, minConfidence, noiseOffset } = this.#options;
    const text = { tokenIds: lease.tokenIds(0, lease.length), outputStart };
    const distribution = this.#sampler.distribution(row, this.#params, text);
    const tokenId = this.#drawFrom(distribution, lease.length + noiseOffset);
    this.draftTokenIds.push(tokenId);
    this.distributions?.push(distribution);
    if (minConfidence > 0) this.hasLostConfidence = this.#confidence(distribution, row, text, tokenId) < minConfidence;
  }

  #drawFrom(distribution: TokenDistribution, position: number): number {
    const { isCoupled, seed } = this.#options;
    if (isCoupled) return drawCoupled(distribution, new CoupledNoise(seed, position));
    return drawFrom(distribution, this.#rng.uniform(STREAM.draftDraw, position, this.draftTokenIds.length));
  }

  /** The token's probability under the distribution that it was drawn from; for a greedy choice, at temperature 1. */
  #confidence(distribution: TokenDistribution, row: Float32Array, text: TextSoFar, tokenId: number): number {
    const { params } = this.#options;
    if (params.temperature > 0) return probOf(distribution, tokenId);
    const unfiltered = { ...params, temperature: 1, topK: 0, topP: 1, minP: 0 };
    return probOf(this.#sampler.distribution(row, unfiltered, text), tokenId);
  }
}
