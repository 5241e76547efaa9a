/** Draws draft tokens from rows of logits, and keeps the distribution of each. */
import type { SequenceLease } from '@forerunner/engine';
import {
  CounterRng,
  type DistributionBuilder,
  drawFrom,
  probOf,
  type SamplingParams,
  STREAM,
  type TokenDistribution,
} from '@forerunner/sampling';

export interface DrawerOptions {
  readonly params: SamplingParams;
  readonly seed: number;
  /** See ProposeRequest.min_confidence; 0 never stops. */
  readonly minConfidence: number;
  /** Position from which penalties count tokens. */
  readonly outputStart: number;
}

export class TokenDrawer {
  readonly draftTokenIds: number[] = []; // [k]
  /** null when greedy: each distribution is one-hot. */
  readonly distributions: TokenDistribution[] | null; // [k]
  /** The last token fell below the threshold. It stays all the same: dropping a drawn token would bias the output. */
  hasLostConfidence = false;
  readonly #distributions: DistributionBuilder;
  readonly #options: DrawerOptions;
  readonly #rng: CounterRng;

  constructor(distributions: DistributionBuilder, options: DrawerOptions) {
    this.#distributions = distributions;
    this.#options = options;
    this.#rng = new CounterRng(options.seed);
    this.distributions = options.params.temperature === 0 ? null : [];
  }

  /** `row`: logits of the token that follows everything in the lease. */
  draw(row: Float32Array, lease: SequenceLease): void {
    const { params, outputStart, minConfidence } = this.#options;
    const position = lease.length;
    const soFar = lease.tokenIds(outputStart, position);
    const distribution = this.#distributions.distribution(row, params, soFar);
    const tokenId = drawFrom(distribution, this.#rng.uniform(STREAM.draftDraw, position));
    this.draftTokenIds.push(tokenId);
    this.distributions?.push(distribution);
    if (minConfidence > 0) this.hasLostConfidence = this.#confidence(distribution, row, soFar, tokenId) < minConfidence;
  }

  /** The token's probability under the distribution that it was drawn from; for a greedy choice, at temperature 1. */
  #confidence(distribution: TokenDistribution, row: Float32Array, soFar: Int32Array, tokenId: number): number {
    const { params } = this.#options;
    if (params.temperature > 0) return probOf(distribution, tokenId);
    const unfiltered = { ...params, temperature: 1, topK: 0, topP: 1, minP: 0 };
    return probOf(this.#distributions.distribution(row, unfiltered, soFar), tokenId);
  }
}
