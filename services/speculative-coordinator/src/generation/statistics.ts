/** What one answer did, counted as it happens and never reconstructed. */
import { type CountsBySource, DRAFT_SOURCES, type DraftSource, type GenerationMetrics } from '@forerunner/protocol';
import type { RoundRecord } from './round.ts';

export class GenerationStatistics {
  readonly #startMs = performance.now();
  #firstTokenMs: number | null = null;
  #lastTokenMs: number | null = null;
  #numOutputTokens = 0;
  numRounds = 0;
  numDrafts = 0;
  numDraftTokens = 0;
  numAcceptedTokens = 0;
  numEmittedDraftTokens = 0;
  numDegradedRounds = 0;
  /** Tokens of the text that the client predicted: kept and emitted, and refused by the target. */
  numAcceptedPredictionTokens = 0;
  numRejectedPredictionTokens = 0;
  /** Tokens of the prompt that the target had in a cached prefix. */
  numCachedPromptTokens = 0;
  /** Of the planned rounds: milliseconds per token as promised, and of the target alone. */
  #promisedMs = 0;
  #aloneMs = 0;
  #numForecasts = 0;
  readonly #bySource = Object.fromEntries(
    DRAFT_SOURCES.map((source) => [source, { num_drafts: 0, num_draft_tokens: 0, num_accepted_tokens: 0 }]),
  ) as Record<DraftSource, CountsBySource>;
  /** Guesses of the grammar, and those that were kept. */
  numForcedTokens = 0;
  numAcceptedForcedTokens = 0;
  readonly #draftTokensPerPos: number[] = [];
  readonly #acceptedTokensPerPos: number[] = [];

  /** The prompt's own pass. */
  countPrompt(round: RoundRecord): void {
    this.numCachedPromptTokens = round.numReusedTokens;
    this.#countForced(round);
  }

  #countForced({ numForcedTokens, numAcceptedForcedTokens }: RoundRecord): void {
    this.numForcedTokens += numForcedTokens;
    this.numAcceptedForcedTokens += numAcceptedForcedTokens;
  }

  /** One round after the prompt. */
  countRound(round: RoundRecord): void {
    this.numRounds++;
    this.#countForced(round);
    this.#countForecast(round);
    if (round.origin !== null && round.origin !== 'grammar') this.#countDraft(round, round.origin);
    else if (round.proposal !== 'none') this.numDegradedRounds++;
  }

  #countForecast({ forecast }: RoundRecord): void {
    if (!forecast) return;
    this.#numForecasts++;
    this.#promisedMs += 1 / forecast.tokensPerMs;
    this.#aloneMs += 1 / forecast.tokensPerMsWithout;
  }

  #countDraft(round: RoundRecord, origin: DraftSource): void {
    const { numDraftTokens, numAcceptedTokens } = round;
    const counts = this.#bySource[origin];
    counts.num_drafts++;
    counts.num_draft_tokens += numDraftTokens;
    counts.num_accepted_tokens += numAcceptedTokens;
    if (origin === 'prediction') this.#countPrediction(round);
    this.numDrafts++;
    this.numDraftTokens += numDraftTokens;
    this.numAcceptedTokens += numAcceptedTokens;
    this.numEmittedDraftTokens += numEmittedOf(round);
    for (let i = 0; i < numDraftTokens; i++) this.#draftTokensPerPos[i] = (this.#draftTokensPerPos[i] ?? 0) + 1;
    for (let i = 0; i < numAcceptedTokens; i++)
      this.#acceptedTokensPerPos[i] = (this.#acceptedTokensPerPos[i] ?? 0) + 1;
  }

  /** The guesses were the client's own prediction. */
  #countPrediction(round: RoundRecord): void {
    this.numAcceptedPredictionTokens += numEmittedOf(round);
    this.numRejectedPredictionTokens += round.numDraftTokens - round.numAcceptedTokens;
  }

  /** Tokens that stand in the answer from now on. */
  countOutput(numTokens: number): void {
    const now = performance.now();
    this.#firstTokenMs ??= now;
    this.#lastTokenMs = now;
    this.#numOutputTokens += numTokens;
  }

  get timeToFirstTokenMs(): number | null {
    return this.#firstTokenMs === null ? null : this.#firstTokenMs - this.#startMs;
  }

  metrics(): GenerationMetrics {
    const end = this.#lastTokenMs ?? performance.now();
    const totalMs = end - this.#startMs;
    const decodeMs = end - (this.#firstTokenMs ?? end);
    const decodedTokens = this.#numOutputTokens - 1;
    const perSecond = (tokens: number, ms: number) => (ms > 0 && tokens > 0 ? round((1000 * tokens) / ms) : null);
    return {
      speculative_decoding: {
        num_rounds: this.numRounds,
        num_drafts: this.numDrafts,
        num_draft_tokens: this.numDraftTokens,
        num_accepted_tokens: this.numAcceptedTokens,
        num_emitted_draft_tokens: this.numEmittedDraftTokens,
        draft_acceptance_rate: ratio(this.numAcceptedTokens, this.numDraftTokens),
        mean_acceptance_length: this.numDrafts > 0 ? round(1 + this.numAcceptedTokens / this.numDrafts) : null,
        num_draft_tokens_per_pos: [...this.#draftTokensPerPos],
        num_accepted_tokens_per_pos: this.#draftTokensPerPos.map((_, i) => this.#acceptedTokensPerPos[i] ?? 0),
        num_degraded_rounds: this.numDegradedRounds,
        num_forced_tokens: this.numForcedTokens,
        num_accepted_forced_tokens: this.numAcceptedForcedTokens,
        by_source: structuredClone(this.#bySource),
      },
      time_to_first_token_ms: this.timeToFirstTokenMs === null ? null : round(this.timeToFirstTokenMs),
      total_ms: round(totalMs),
      tokens_per_second: perSecond(this.#numOutputTokens, totalMs),
      decode_tokens_per_second: perSecond(decodedTokens, decodeMs),
      predicted_speedup: ratio(this.#aloneMs, this.#promisedMs),
      achieved_speedup: ratio((decodedTokens * this.#aloneMs) / this.#numForecasts, decodeMs),
    };
  }
}

const round = (value: number): number => Math.round(value * 1e4) / 1e4;

/** null: there was nothing to divide by. */
const ratio = (value: number, of: number): number | null => {
  const share = value / of;
  return Number.isFinite(share) ? round(share) : null;
};

/** Accepted guesses that stand in the answer: none past its end. */
const numEmittedOf = ({ tokens }: RoundRecord): number =>
  tokens.filter(({ provenance }) => provenance === 'accepted').length;
