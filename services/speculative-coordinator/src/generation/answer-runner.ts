/**
 * From parsed requests to running answers, and always out again: lengths checked, a ticket, the two sequences opened,
 * and in the end freed, whatever happened. Routes differ in how they read and write; this is the same for all of them.
 */
import { randomInt } from 'node:crypto';
import { DEFAULT_VERIFICATION, type Receipt } from '@forerunner/protocol';
import type { Logger } from '@forerunner/service-kit';
import type { Admission } from '../admission.ts';
import type { CoordinatorConfig } from '../config.ts';
import type { DraftSession } from '../drafting/draft-session.ts';
import { DraftPlanner } from '../drafting/length/draft-planner.ts';
import type { Overheads } from '../drafting/length/pair-costs.ts';
import { openDraftSession } from '../drafting/open-session.ts';
import type { CoordinatorMetrics } from '../metrics.ts';
import type { ServedPair } from '../pair/pair.ts';
import type { SequenceContext } from '../pair/sequence-calls.ts';
import { TargetSequence } from '../pair/target-sequence.ts';
import { type AnswerParams, checkAnswer } from './answer-params.ts';
import { Generation } from './generation.ts';
import type { AnswerGrammar } from './grammar/answer-grammar.ts';
import type { GrammarEngine } from './grammar/grammar-engine.ts';
import type { TokenLogprobs } from './logprobs.ts';
import { outcomeOf } from './outcome.ts';
import type { Output } from './output.ts';
import { promptLogprobs } from './prompt-logprobs.ts';
import { ReceiptRecorder } from './receipt-recorder.ts';
import type { RoundRecord } from './round.ts';
import { RoundObserver } from './round-observer.ts';
import type { GenerationStatistics } from './statistics.ts';
import { TrafficMeter } from './traffic-meter.ts';
import { chooseRule } from './verification/choose-rule.ts';
import type { VerificationRule } from './verification/rule.ts';

export interface AnswerRunnerDeps {
  readonly config: Pick<CoordinatorConfig, 'MAX_DRAFT_TOKENS' | 'TARGET_TIMEOUT_MS' | 'HIDDEN_STATE_WINDOW_KIB'>;
  readonly admission: Admission;
  readonly metrics: CoordinatorMetrics;
  readonly grammars: GrammarEngine;
}

export interface Caller {
  /** Route pattern, a metric label. */
  readonly route: string;
  readonly requestId: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  readonly logger: Pick<Logger, 'info' | 'error'>;
  /** Cached prefixes are shared only within a scope: one per API key. */
  readonly cacheScope: string;
  /** Told once, at the end of an answer that began. */
  readonly onTokens?: (numPromptTokens: number, numCompletionTokens: number) => void;
}

/** One answer under way. */
export interface RunningAnswer {
  readonly seed: number;
  readonly modelId: string;
  readonly numPromptTokens: number;
  /** One entry per token of the prompt, where the reply begins with it and has log probabilities. */
  readonly promptLogprobs: readonly (TokenLogprobs | null)[] | null;
  readonly output: Output;
  readonly statistics: GenerationStatistics;
  /** Must be run to its end. */
  rounds(): AsyncIterable<RoundRecord>;
  /** Of the ended answer; undefined where none is wanted. */
  receipt(): Receipt | undefined;
}

/** An answer that may begin. */
interface CheckedAnswer {
  readonly params: AnswerParams;
  readonly pair: ServedPair;
  readonly caller: Caller;
  readonly seed: number;
  readonly rule: VerificationRule;
  readonly grammar: AnswerGrammar | null;
}

export class AnswerRunner {
  readonly #deps: AnswerRunnerDeps;
  readonly #closings = new Set<Promise<void>>();
  /** One for each pair. */
  readonly #planners = new WeakMap<ServedPair['targets'], DraftPlanner>();

  constructor(deps: AnswerRunnerDeps) {
    this.#deps = deps;
  }

  /**
   * Runs the answers of one request side by side, each within `consume`, which pulls its rounds; a slow consumer slows
   * its own answer only. The first failure ends all of them. Errors: that of the first to fail: whatever `consume` or the
   * generation threw; overloaded, context_length_exceeded, unsupported_value before any work.
   */
  async run<T>(
    { answers, pair }: { readonly answers: readonly AnswerParams[]; readonly pair: ServedPair },
    caller: Caller,
    consume: (answer: RunningAnswer, index: number) => Promise<T>,
  ): Promise<T[]> {
    const siblings = new AbortController();
    const signal = answers.length === 1 ? caller.signal : AbortSignal.any([caller.signal, siblings.signal]);
    const results = await Promise.allSettled(
      answers.map((params, index) =>
        this.#runOne(params, pair, { ...caller, signal }, (answer) => consume(answer, index)).catch(
          (error: unknown) => {
            siblings.abort(error); // the first reason stays
            throw error;
          },
        ),
      ),
    );
    if (siblings.signal.aborted) throw siblings.signal.reason;
    return results.map((result) => (result as PromiseFulfilledResult<T>).value);
  }

  /** When every sequence of ended answers has been freed. */
  async settled(): Promise<void> {
    await Promise.all(this.#closings);
  }

  async #runOne<T>(
    params: AnswerParams,
    pair: ServedPair,
    caller: Caller,
    consume: (answer: RunningAnswer) => Promise<T>,
  ): Promise<T> {
    const { config, admission, metrics } = this.#deps;
    const arrivedMs = performance.now();
    checkAnswer(params, pair.card, config.MAX_DRAFT_TOKENS);
    const seed = params.seed ?? randomInt(2 ** 48 - 1);
    const rule = chooseRule(params.verification ?? DEFAULT_VERIFICATION, {
      temperature: params.sampling.temperature,
      seed,
    });
    const leave = await admission.enter(caller.signal);
    let grammar: AnswerGrammar | null = null;
    try {
      metrics.queueSeconds.observe((performance.now() - arrivedMs) / 1000);
      if (params.grammar) grammar = await this.#deps.grammars.open(params.grammar, pair.card);
      caller.signal.throwIfAborted();
      const logprobs = await this.#scorePrompt(params, pair, caller);
      const { answer, target, draft, draftLength } = this.#open(
        { params, pair, caller, seed, rule, grammar },
        logprobs,
      );
      let outcome = 'completed';
      try {
        return await consume(answer);
      } catch (error) {
        outcome = outcomeOf(error, caller.signal);
        throw error;
      } finally {
        draftLength.close();
        this.#free(target.close(), draft?.close());
        this.#conclude(caller, answer, outcome);
      }
    } finally {
      grammar?.close();
      leave();
    }
  }

  /** null where the reply does not begin with the prompt, or has no log probabilities. */
  async #scorePrompt(params: AnswerParams, pair: ServedPair, caller: Caller) {
    const { promptTokenIds: tokenIds, echo, numTopLogprobs: numTop } = params;
    if (!echo || numTop === null) return null;
    const { requestId, signal, cacheScope } = caller;
    const target = this.#openTarget(pair, { requestId, signal, cacheScope });
    try {
      return await promptLogprobs(target, { tokenIds, numTop, vocabSize: pair.card.vocab_size });
    } finally {
      await target.close(); // what it cached is the answer's to take over
    }
  }

  #openTarget({ targets, card }: ServedPair, context: SequenceContext): TargetSequence {
    const { TARGET_TIMEOUT_MS: timeoutMs } = this.#deps.config;
    return new TargetSequence(targets, { ...context, timeoutMs, modelDigest: card.model_digest });
  }

  #open({ params, pair, caller, seed, rule, grammar }: CheckedAnswer, logprobs: RunningAnswer['promptLogprobs']) {
    const { config, metrics } = this.#deps;
    const { card } = pair;
    const numPromptTokens = params.promptTokenIds.length;
    const sampling = { ...params.sampling, output_start: numPromptTokens };
    const { requestId, signal, cacheScope } = caller;
    const traffic = new TrafficMeter();
    const context: SequenceContext = { requestId, signal, cacheScope, onTraffic: traffic.add };
    const target = this.#openTarget(pair, context);
    const openDraft = (): DraftSession =>
      openDraftSession(
        pair.drafts,
        { ...context, noise: rule.draftNoise, sampling },
        {
          ...params,
          numPromptTokens,
          maxWindowBytes: config.HIDDEN_STATE_WINDOW_KIB * 1024,
        },
      );
    const draft = params.numSpeculativeTokens === 0 ? null : openDraft();
    const draftLength = this.#planner(pair).open({
      temperature: sampling.temperature,
      maxNewTokens: params.maxNewTokens,
      maxDraftTokens: config.MAX_DRAFT_TOKENS,
      fixedLength: params.numSpeculativeTokens,
      fixedConfidence: params.minConfidence,
      replica: () => target.replica,
    });
    const observer = new RoundObserver(metrics, rule.name);
    const stopTokenIds = [...(params.ignoreEos ? [] : card.eos_token_ids), ...(params.stopTokenIds ?? [])];
    const recorder = params.receipt ? new ReceiptRecorder(params, stopTokenIds) : null;
    const generation = new Generation(
      { ...params, sampling, stopTokenIds },
      {
        target,
        draft,
        draftLength,
        grammar,
        rule,
        traffic,
        decoder: pair.codec.incrementalDecoder(params),
        observer,
      },
    );
    const answer: RunningAnswer = {
      seed,
      modelId: card.model_id,
      numPromptTokens,
      promptLogprobs: logprobs,
      output: generation.output,
      statistics: observer.statistics,
      rounds: () => recorder?.recorded(generation.rounds()) ?? generation.rounds(),
      receipt: () =>
        recorder?.receipt({
          target: card,
          draft: pair.drafts?.card ?? null,
          seed,
          verification: rule.name,
          output: generation.output,
        }),
    };
    return { answer, target, draft, draftLength };
  }

  /** What rounds of the pair cost beyond passes. */
  overheads(pair: ServedPair): Overheads {
    return this.#planner(pair).costs.overheads;
  }

  #planner({ targets, drafts }: ServedPair): DraftPlanner {
    const known = this.#planners.get(targets);
    if (known) return known;
    const planner = new DraftPlanner(() => drafts?.card ?? null);
    this.#planners.set(targets, planner);
    return planner;
  }

  /** Sequences are freed in the background: the answer does not wait for it, `settled` does. */
  #free(...closings: (Promise<void> | undefined)[]): void {
    for (const closing of closings) {
      if (!closing) continue;
      this.#closings.add(closing);
      void closing.finally(() => this.#closings.delete(closing));
    }
  }

  /** At the end of every answer that began: metrics and one log line with the counts, never text. */
  #conclude(caller: Caller, { output, statistics, numPromptTokens }: RunningAnswer, outcome: string): void {
    const { metrics } = this.#deps;
    metrics.generatedTokens.inc(output.tokenIds.length);
    caller.onTokens?.(numPromptTokens, output.tokenIds.length);
    const ttftMs = statistics.timeToFirstTokenMs;
    if (ttftMs !== null) metrics.timeToFirstTokenSeconds.observe(ttftMs / 1000);
    const { speculative_decoding: speculation, ...times } = statistics.metrics();
    const { predicted_speedup: predicted, achieved_speedup: achieved } = times;
    if (predicted !== null) metrics.predictedSpeedup.observe(predicted);
    if (achieved !== null) metrics.achievedSpeedup.observe(achieved);
    caller.logger.info(
      {
        req_id: caller.requestId,
        outcome,
        finish_reason: output.finishReason,
        prompt_tokens: numPromptTokens,
        cached_tokens: statistics.numCachedPromptTokens,
        completion_tokens: output.tokenIds.length,
        draft_tokens: speculation.num_draft_tokens,
        accepted_tokens: speculation.num_accepted_tokens,
        rounds: speculation.num_rounds,
        degraded_rounds: speculation.num_degraded_rounds,
        ...times,
      },
      'generation',
    );
  }
}
