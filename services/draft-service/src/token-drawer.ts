/** Draws draft tokens from rows of logits, and keeps the law of each. */
import type { SequenceLease } from '@forerunner/engine';
import {
  CounterRng,
  drawFrom,
  type LawBuilder,
  probOf,
  type SamplingParams,
  STREAM,
  type TokenLaw,
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
  /** null when greedy: each law is one-hot. */
  readonly laws: TokenLaw[] | null; // [k]
  /** The last token fell below the threshold. It stays all the same: dropping a drawn token would bias the output. */
  hasLostConfidence = false;
  readonly #laws: LawBuilder;
  readonly #options: DrawerOptions;
  readonly #rng: CounterRng;

  constructor(laws: LawBuilder, options: DrawerOptions) {
    this.#laws = laws;
    this.#options = options;
    this.#rng = new CounterRng(options.seed);
    this.laws = options.params.temperature === 0 ? null : [];
  }

  /** `row`: logits of the token that follows everything in the lease. */
  draw(row: Float32Array, lease: SequenceLease): void {
    const { params, outputStart, minConfidence } = this.#options;
    const position = lease.length;
    const soFar = lease.tokenIds(outputStart, position);
    const law = this.#laws.law(row, params, soFar);
    const tokenId = drawFrom(law, this.#rng.uniform(STREAM.draftDraw, position));
    this.draftTokenIds.push(tokenId);
    this.laws?.push(law);
    if (minConfidence > 0) this.hasLostConfidence = this.#confidence(law, row, soFar, tokenId) < minConfidence;
  }

  /** The token's probability under the law that it was drawn from; for a greedy choice, at temperature 1. */
  #confidence(law: TokenLaw, row: Float32Array, soFar: Int32Array, tokenId: number): number {
    const { params } = this.#options;
    if (params.temperature > 0) return probOf(law, tokenId);
    const unfiltered = { ...params, temperature: 1, topK: 0, topP: 1, minP: 0 };
    return probOf(this.#laws.law(row, unfiltered, soFar), tokenId);
  }
}
