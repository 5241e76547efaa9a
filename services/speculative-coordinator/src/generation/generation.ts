/**
 * One answer: prefill, then rounds of propose, score, verify, commit, until a stop rule ends it.
 *
 * Words: `committed` is the prompt and every token emitted so far. A round emits the accepted draft tokens and one
 * token that follows them (recovered or bonus), so between 1 and k + 1. A refusal ends the round, never the answer.
 * The draft, present or not, never changes the distribution of the answer; it only changes how many passes of the target it takes.
 */
import { type Provenance, type ScoreReply, TokenPrefix, type WireSampling } from '@forerunner/protocol';
import type { VerificationOutcome } from '@forerunner/sampling';
import type { IncrementalDecoder } from '@forerunner/tokenizer';
import type { CoordinatorMetrics } from '../metrics.ts';
import type { DraftSession, Proposal } from '../peers/drafting.ts';
import type { TargetSequence } from '../peers/target-sequence.ts';
import { logprobsOfRow, type TokenLogprobs } from './logprobs.ts';
import { Output } from './output.ts';
import { GenerationStatistics } from './statistics.ts';
import type { VerificationRule } from './verification/rule.ts';

export interface GenerationParams {
  readonly promptTokenIds: Int32Array;
  readonly sampling: WireSampling;
  readonly maxNewTokens: number;
  readonly stop: readonly string[];
  /** Empty: the answer goes on after an end-of-sequence token. */
  readonly eosTokenIds: readonly number[];
  /** Tokens drafted per round. */
  readonly numSpeculativeTokens: number;
  /** Log probabilities of the model's own distribution (before temperature and filters) for every token; null: none. */
  readonly numTopLogprobs: number | null;
}

export interface GenerationDeps {
  readonly rule: VerificationRule;
  readonly target: TargetSequence;
  /** null: the target alone. */
  readonly draft: DraftSession | null;
  readonly decoder: IncrementalDecoder;
  readonly metrics: CoordinatorMetrics;
}

export interface EmittedToken {
  readonly tokenId: number;
  readonly provenance: Provenance;
  /** What this token added to the text; a stop string that begins later may still take it back. */
  readonly text: string;
  readonly logprobs: TokenLogprobs | null;
}

/** What one round added to the answer. */
export interface GenerationStep {
  readonly tokens: readonly EmittedToken[];
  /** Whole characters that can no longer change; may be empty. */
  readonly text: string;
  readonly numDraftTokens: number;
  readonly numAcceptedTokens: number;
  /** Who guessed; null when nobody did. */
  readonly origin: 'draft' | 'prediction' | null;
}

const NO_TOKENS = new Int32Array(0);

export class Generation {
  readonly output: Output;
  readonly statistics = new GenerationStatistics();
  readonly #params: GenerationParams;
  readonly #deps: GenerationDeps;
  readonly #committed: TokenPrefix;
  #hadDraft = false;
  /** Since when the draft has had no proposal although one was wanted. */
  #lostSinceMs: number | null = null;

  constructor(params: GenerationParams, deps: GenerationDeps) {
    this.#params = params;
    this.#deps = deps;
    this.#committed = new TokenPrefix(params.promptTokenIds.length + params.maxNewTokens);
    this.#committed.append(params.promptTokenIds);
    this.output = new Output(params, deps.decoder);
  }

  /** Errors: ServiceError of the target; the signal's reason when aborted. Whoever began must run it to its end. */
  async *steps(): AsyncGenerator<GenerationStep> {
    this.#deps.metrics.promptTokens.inc(this.#committed.length);
    this.#deps.draft?.prefill(this.#committed);
    await this.#scoreBeforeWindow();
    let step = await this.#round(NO_TOKENS, null);
    let roundMs: number | null = null; // the prompt's own pass is not counted
    let proposing: Promise<{ proposal: Proposal | null; proposeMs: number }> | undefined;
    try {
      for (;;) {
        const isLast = this.output.finishReason !== null;
        if (!isLast) {
          // Asked for before anybody looks at the step: what they do with it takes its time while the draft works.
          proposing = this.#timedPropose();
          proposing.catch(() => {}); // it is thrown where it is awaited, which may be later
        }
        if (roundMs !== null) this.#observeRound(roundMs, step);
        yield step;
        if (isLast) return;
        const { proposal, proposeMs } = await proposing!;
        const startMs = performance.now();
        step = await this.#round(proposal?.draftTokenIds ?? NO_TOKENS, proposal);
        roundMs = proposeMs + performance.now() - startMs;
      }
    } finally {
      await proposing?.catch(() => {}); // also when nobody wants the next step: nothing is under way any more
    }
  }

  /** The part of a long prompt whose hidden states the draft would not keep is scored without them. */
  async #scoreBeforeWindow(): Promise<void> {
    const { target, draft } = this.#deps;
    const window = draft?.hiddenStateWindow ?? 0;
    const numBefore = window > 0 ? this.#committed.length - window : 0;
    if (numBefore <= 0) return;
    await target.score({
      committed: this.#committed,
      numCommittedTokens: numBefore,
      draftTokenIds: NO_TOKENS,
      rows: 'argmax',
      numRows: 0,
      sampling: this.#params.sampling,
    });
  }

  /** With the time that it took, whenever somebody looks at it. */
  async #timedPropose(): Promise<{ proposal: Proposal | null; proposeMs: number }> {
    const startMs = performance.now();
    const proposal = await this.#propose();
    return { proposal, proposeMs: performance.now() - startMs };
  }

  /** null when this round goes without a draft. */
  async #propose(): Promise<Proposal | null> {
    const { draft, metrics } = this.#deps;
    // A round emits up to k + 1 tokens: never draft what could not be emitted.
    const k = Math.min(this.#params.numSpeculativeTokens, this.output.numRemainingTokens - 1);
    if (!draft || k <= 0) return null;
    const startMs = performance.now();
    const proposal = await draft.propose({ committed: this.#committed, numSpeculativeTokens: k });
    if (typeof proposal === 'object') {
      if (proposal.origin === 'prediction') return proposal; // says nothing of the draft
      metrics.proposeSeconds.observe((performance.now() - startMs) / 1000);
      this.#noteDraft();
      return proposal;
    }
    if (proposal !== 'none') {
      this.statistics.numDegradedRounds++;
      metrics.degradedRounds.inc();
      // A draft that is still busy with its first text is not lost.
      if (proposal === 'unavailable' || this.#hadDraft) this.#lostSinceMs ??= startMs;
    }
    return null;
  }

  /** The draft proposed: if it was lost, it is back. */
  #noteDraft(): void {
    this.#hadDraft = true;
    if (this.#lostSinceMs === null) return;
    this.#deps.metrics.draftRecoverySeconds.observe((performance.now() - this.#lostSinceMs) / 1000);
    this.#lostSinceMs = null;
  }

  /** Scores, verifies and commits. The prompt's own pass is a round without a draft. */
  async #round(draftTokenIds: Int32Array, proposal: Proposal | null): Promise<GenerationStep> {
    const { rule, target, draft, metrics } = this.#deps;
    const numCommitted = this.#committed.length;
    const startMs = performance.now();
    const reply = await target.score({
      committed: this.#committed,
      draftTokenIds,
      rows: rule.rows,
      numRows: draftTokenIds.length + 1,
      sampling: this.#params.sampling,
      includeLogits: this.#params.numTopLogprobs !== null,
      includeHiddenStates: (draft?.hiddenStateWindow ?? 0) > 0,
    });
    metrics.scoreSeconds.observe((performance.now() - startMs) / 1000);

    const draftDistributions = proposal?.draftDistributions ?? null;
    const outcome = rule.judge({ position: numCommitted, draftTokenIds, draftDistributions, reply });
    const { numAcceptedTokens } = outcome;
    target.keep(numCommitted + numAcceptedTokens);
    if (proposal) draft?.settle(numAcceptedTokens);
    if (reply.hiddenStates) {
      const end = numCommitted + draftTokenIds.length;
      draft?.observe({ hiddenStates: reply.hiddenStates, end, numCommitted: numCommitted + numAcceptedTokens });
    }
    return this.#commit(draftTokenIds, outcome, reply, proposal && (proposal.origin ?? 'draft'));
  }

  /** Appends tokens one at a time until a stop rule ends the answer; the rest of the round is trimmed. */
  #commit(
    draftTokenIds: Int32Array,
    outcome: VerificationOutcome,
    reply: ScoreReply,
    origin: GenerationStep['origin'],
  ): GenerationStep {
    const { numAcceptedTokens } = outcome;
    const follow = outcome.recoveredTokenId ?? outcome.bonusTokenId!;
    const followProvenance: Provenance = !origin
      ? 'target'
      : outcome.bonusTokenId === undefined
        ? 'recovered'
        : 'bonus';
    const tokens: EmittedToken[] = [];
    for (let i = 0; i <= numAcceptedTokens && this.output.finishReason === null; i++) {
      const accepted = i < numAcceptedTokens;
      const tokenId = accepted ? draftTokenIds[i]! : follow;
      const provenance = accepted ? 'accepted' : followProvenance;
      this.#committed.append([tokenId]);
      const text = this.output.push(tokenId, provenance);
      const logprobs = logprobsOfRow(reply, i, tokenId, this.#params.numTopLogprobs);
      tokens.push({ tokenId, provenance, text, logprobs });
      if (accepted && origin === 'draft') this.statistics.numEmittedDraftTokens++;
    }
    this.statistics.countOutput(tokens.length);
    const text = this.output.takeReleasable();
    return { tokens, text, numDraftTokens: draftTokenIds.length, numAcceptedTokens, origin };
  }

  #observeRound(ms: number, step: GenerationStep): void {
    const { metrics } = this.#deps;
    const { numDraftTokens, numAcceptedTokens, origin } = step;
    metrics.roundSeconds.observe(ms / 1000);
    metrics.interTokenSeconds.observe(ms / 1000 / step.tokens.length);
    if (origin === 'prediction') {
      const numEmittedTokens = step.tokens.filter((token) => token.provenance === 'accepted').length;
      this.statistics.countPredictedRound(numDraftTokens, numAcceptedTokens, numEmittedTokens);
      metrics.predictionTokens.inc({ outcome: 'accepted' }, numAcceptedTokens);
      metrics.predictionTokens.inc({ outcome: 'rejected' }, numDraftTokens - numAcceptedTokens);
      return;
    }
    this.statistics.countRound(numDraftTokens, numAcceptedTokens);
    if (numDraftTokens === 0) return;
    metrics.numDrafts.inc();
    metrics.numDraftTokens.inc(numDraftTokens);
    metrics.numAcceptedTokens.inc(numAcceptedTokens);
    for (let position = 0; position < numDraftTokens; position++) {
      metrics.numDraftTokensPerPos.inc({ position });
      if (position < numAcceptedTokens) metrics.numAcceptedTokensPerPos.inc({ position });
    }
  }
}
