/**
 * From a parsed request to a running answer, and always out again: text to ids, lengths checked, a ticket, the two
 * sequences opened, and in the end freed, whatever happened. Routes differ in how they read and write; this is the same
 * for all of them.
 */
import { randomInt } from 'node:crypto';
import {
  type ChatMessage,
  type GenerateRequest,
  type ModelCard,
  ServiceError,
  type VerificationRuleName,
  type WireSampling,
} from '@forerunner/protocol';
import type { Logger } from '@forerunner/service-kit';
import { ChatTemplateError, type Tokenizer } from '@forerunner/tokenizer';
import type { Admission } from '../admission.ts';
import type { CoordinatorConfig } from '../config.ts';
import type { CoordinatorMetrics } from '../metrics.ts';
import { CardDraftSession } from '../peers/card-draft-session.ts';
import type { DraftPeer } from '../peers/draft-peer.ts';
import type { DraftContext } from '../peers/draft-sequence.ts';
import type { DraftSession } from '../peers/drafting.ts';
import type { PeerMonitor } from '../peers/peer-monitor.ts';
import { PredictionSession } from '../peers/prediction-session.ts';
import type { TargetReplicas } from '../peers/target-replicas.ts';
import { type SequenceContext, TargetSequence } from '../peers/target-sequence.ts';
import { Generation } from './generation.ts';
import { chooseRule } from './verification/choose-rule.ts';
import type { VerificationRule } from './verification/rule.ts';

export interface GeneratorDeps {
  readonly config: CoordinatorConfig;
  readonly tokenizer: Tokenizer;
  readonly admission: Admission;
  readonly metrics: CoordinatorMetrics;
  readonly monitor: PeerMonitor;
  readonly targets: TargetReplicas;
  readonly draft: DraftPeer;
}

/** What a route asks for, in one shape. */
export interface GenerationOrder {
  readonly promptTokenIds: Int32Array;
  readonly maxNewTokens: number;
  /** Tokens drafted per round; 0: the target alone. */
  readonly numSpeculativeTokens: number;
  readonly sampling: Omit<WireSampling, 'output_start'>;
  /** Absent: drawn at random. */
  readonly seed?: number | undefined;
  /** Absent: rejection. */
  readonly verification?: VerificationRuleName | undefined;
  readonly stop: readonly string[];
  readonly ignoreEos: boolean;
  readonly minConfidence: number;
  /** null: no log probabilities. */
  readonly numTopLogprobs: number | null;
  /** What the client expects the answer to be, as tokens: guessed before the draft is asked. */
  readonly predictionTokenIds?: Int32Array | undefined;
}

/** What a request may say about drafting. */
export type DraftingFields = Partial<Pick<GenerateRequest, 'speculative' | 'draft_k' | 'min_confidence'>>;

export interface GenerationCaller {
  /** Route pattern, a metric label. */
  readonly route: string;
  readonly requestId: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Cached prefixes are shared only within a scope: one per API key. */
  readonly cacheScope: string;
  /** Told once, at the end of an answer that began. */
  readonly onTokens?: (numPromptTokens: number, numCompletionTokens: number) => void;
}

/** One request under way. */
export interface RunningGeneration {
  readonly generation: Generation;
  readonly seed: number;
  readonly modelId: string;
  readonly numPromptTokens: number;
}

interface Opening {
  readonly order: GenerationOrder;
  readonly seed: number;
  readonly rule: VerificationRule;
  readonly caller: GenerationCaller;
  readonly card: ModelCard;
}

export class Generator {
  readonly #deps: GeneratorDeps;
  readonly #closings = new Set<Promise<void>>();

  constructor(deps: GeneratorDeps) {
    this.#deps = deps;
  }

  /**
   * How to draft: as the request says, and as the settings say where it is silent. Whoever names a draft_k gets
   * proposals of that length, unless a confidence is named too. `predicted`: the client foretold the answer, which is
   * worth the longest guesses.
   */
  drafting(
    asked: DraftingFields,
    { predicted = false } = {},
  ): Pick<GenerationOrder, 'numSpeculativeTokens' | 'minConfidence'> {
    const { DEFAULT_DRAFT_TOKENS, DEFAULT_MIN_CONFIDENCE, MAX_DRAFT_TOKENS } = this.#deps.config;
    const usual = predicted ? MAX_DRAFT_TOKENS : Math.min(DEFAULT_DRAFT_TOKENS, MAX_DRAFT_TOKENS);
    return {
      numSpeculativeTokens: asked.speculative === false ? 0 : (asked.draft_k ?? usual),
      minConfidence: asked.min_confidence ?? (asked.draft_k === undefined ? DEFAULT_MIN_CONFIDENCE : 0),
    };
  }

  /** Ids of raw text. Errors: invalid_request for a text without tokens. */
  encodePrompt(text: string): Int32Array {
    return nonEmpty(this.#deps.tokenizer.encode(text));
  }

  /** Ids of text that continues another one. */
  encodeFragment(text: string): Int32Array {
    return this.#deps.tokenizer.encodeFragment(text);
  }

  /** What one token stands for, for people (`text`) and for machines (`bytes`). */
  spellToken(tokenId: number): { readonly text: string; readonly bytes: Uint8Array } {
    const { tokenizer } = this.#deps;
    return { text: tokenizer.tokenText(tokenId), bytes: tokenizer.tokenBytes(tokenId) };
  }

  /** Ids of a chat by the model's own template. Errors: invalid_request when it has none or refuses the roles. */
  encodeChat(messages: readonly ChatMessage[]): Int32Array {
    try {
      return nonEmpty(this.#deps.tokenizer.encodeChat(messages));
    } catch (error) {
      if (error instanceof ChatTemplateError) throw new ServiceError('invalid_request', `"messages": ${error.message}`);
      throw error;
    }
  }

  /** Errors: overloaded, counted as a refused request of the route. */
  requireRoom(route: string): void {
    try {
      this.#deps.admission.requireRoom();
    } catch (error) {
      this.#deps.metrics.requests.inc({ route, outcome: 'refused' });
      throw error;
    }
  }

  /** The target's card. Errors: target_unavailable. */
  requireTarget(): ModelCard {
    const { served } = this.#deps.monitor;
    if ('reason' in served) throw new ServiceError('target_unavailable', served.reason);
    return served.card;
  }

  /**
   * Runs the answers of one request side by side, each within `consume`, which pulls its steps; a slow consumer slows
   * its own answer only. The first failure ends all of them. Errors: that of the first to fail: whatever `consume` or the
   * generation threw; overloaded, context_length_exceeded, unsupported_value, target_unavailable before any work.
   */
  async run<T>(
    orders: readonly GenerationOrder[],
    caller: GenerationCaller,
    consume: (running: RunningGeneration, index: number) => Promise<T>,
  ): Promise<T[]> {
    const siblings = new AbortController();
    const signal = orders.length === 1 ? caller.signal : AbortSignal.any([caller.signal, siblings.signal]);
    const results = await Promise.allSettled(
      orders.map((order, index) =>
        this.#runOne(order, { ...caller, signal }, (running) => consume(running, index)).catch((error: unknown) => {
          siblings.abort(error); // the first reason stays
          throw error;
        }),
      ),
    );
    const { aborted: hasFailed, reason } = siblings.signal;
    const outcome = hasFailed ? outcomeOf(reason, caller.signal) : 'completed';
    this.#deps.metrics.requests.inc({ route: caller.route, outcome });
    if (hasFailed) throw reason;
    return results.map((result) => (result as PromiseFulfilledResult<T>).value);
  }

  async #runOne<T>(
    order: GenerationOrder,
    caller: GenerationCaller,
    consume: (running: RunningGeneration) => Promise<T>,
  ): Promise<T> {
    const { admission, metrics } = this.#deps;
    const arrivedMs = performance.now();
    const card = this.requireTarget();
    this.#checkOrder(order, card);
    const seed = order.seed ?? randomInt(2 ** 48 - 1);
    const rule = chooseRule(order.verification ?? 'rejection', { temperature: order.sampling.temperature, seed });
    const leave = await admission.enter(caller.signal);
    try {
      metrics.queueSeconds.observe((performance.now() - arrivedMs) / 1000);
      const { running, target, draft } = this.#open({ order, seed, rule, caller, card });
      let outcome = 'completed';
      try {
        return await consume(running);
      } catch (error) {
        outcome = outcomeOf(error, caller.signal);
        throw error;
      } finally {
        this.#free(target.close(), draft?.close());
        this.#conclude(caller, order, running, outcome);
      }
    } finally {
      leave();
    }
  }

  /** Sequences are freed in the background: the answer does not wait for it, `settled` does. */
  #free(...closings: (Promise<void> | undefined)[]): void {
    for (const closing of closings) {
      if (!closing) continue;
      this.#closings.add(closing);
      void closing.finally(() => this.#closings.delete(closing));
    }
  }

  /** When every sequence of ended answers has been freed. */
  async settled(): Promise<void> {
    await Promise.all(this.#closings);
  }

  #open({ order, seed, rule, caller, card }: Opening) {
    const { config, tokenizer, metrics, targets } = this.#deps;
    const sampling = { ...order.sampling, output_start: order.promptTokenIds.length };
    const { requestId, signal, cacheScope } = caller;
    const context: SequenceContext = { requestId, signal, cacheScope };
    const target = new TargetSequence(targets, {
      ...context,
      timeoutMs: config.TARGET_TIMEOUT_MS,
      modelDigest: card.model_digest,
    });
    const session =
      order.numSpeculativeTokens > 0
        ? withPrediction(
            order,
            this.#openDraft({ ...context, seed: rule.draftSeed, minConfidence: order.minConfidence, sampling }),
          )
        : null;
    const generation = new Generation(
      { ...order, sampling, eosTokenIds: order.ignoreEos ? [] : card.eos_token_ids },
      { rule, target, draft: session, decoder: tokenizer.incrementalDecoder(), metrics },
    );
    const running = { generation, seed, modelId: card.model_id, numPromptTokens: order.promptTokenIds.length };
    return { target, draft: session, running };
  }

  #openDraft(context: DraftContext): DraftSession {
    const { config, draft } = this.#deps;
    return new CardDraftSession(draft, context, { maxWindowBytes: config.HIDDEN_STATE_WINDOW_KIB * 1024 });
  }

  #checkOrder(order: GenerationOrder, card: ModelCard): void {
    const { MAX_DRAFT_TOKENS } = this.#deps.config;
    if (order.numSpeculativeTokens > MAX_DRAFT_TOKENS) {
      const message = `"draft_k": must be at most ${MAX_DRAFT_TOKENS} (MAX_DRAFT_TOKENS), got ${order.numSpeculativeTokens}`;
      throw new ServiceError('invalid_request', message);
    }
    const limit = card.context_length;
    const wanted = order.promptTokenIds.length + order.maxNewTokens;
    if (wanted > limit) {
      throw new ServiceError(
        'context_length_exceeded',
        `a prompt of ${order.promptTokenIds.length} tokens and ${order.maxNewTokens} new ones exceed the context of ${limit} tokens`,
        { prompt_tokens: order.promptTokenIds.length, max_new_tokens: order.maxNewTokens, context_length: limit },
      );
    }
    const badBias = Object.keys(order.sampling.logit_bias).find((id) => Number(id) >= card.vocab_size);
    if (badBias !== undefined) {
      throw new ServiceError(
        'token_out_of_range',
        `"logit_bias": there is no token ${badBias}; the vocabulary has ${card.vocab_size}`,
      );
    }
  }

  /** At the end of every answer that began: metrics and one log line with the counts, never text. */
  #conclude(caller: GenerationCaller, order: GenerationOrder, running: RunningGeneration, outcome: string): void {
    const { metrics } = this.#deps;
    const { output, statistics } = running.generation;
    metrics.generatedTokens.inc(output.tokenIds.length);
    caller.onTokens?.(order.promptTokenIds.length, output.tokenIds.length);
    const ttftMs = statistics.timeToFirstTokenMs;
    if (ttftMs !== null) metrics.timeToFirstTokenSeconds.observe(ttftMs / 1000);
    const { speculative_decoding: speculation, ...times } = statistics.metrics();
    caller.logger.info(
      {
        req_id: caller.requestId,
        outcome,
        finish_reason: output.finishReason,
        prompt_tokens: order.promptTokenIds.length,
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

function withPrediction({ predictionTokenIds, promptTokenIds }: GenerationOrder, draft: DraftSession): DraftSession {
  if (!predictionTokenIds?.length) return draft;
  return new PredictionSession(predictionTokenIds, promptTokenIds.length, draft);
}

function nonEmpty(tokenIds: Int32Array): Int32Array {
  if (tokenIds.length === 0) throw new ServiceError('invalid_request', 'the prompt has no tokens');
  return tokenIds;
}

function outcomeOf(error: unknown, signal: AbortSignal): 'cancelled' | 'refused' | 'failed' {
  if (signal.aborted) return 'cancelled';
  return error instanceof ServiceError && error.status < 500 ? 'refused' : 'failed';
}
