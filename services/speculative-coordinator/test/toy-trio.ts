/** A coordinator's loop over toy peers, without HTTP. */
import { DEFAULT_VERIFICATION, type VerificationRuleName, type WireSampling } from '@forerunner/protocol';
import { IncrementalDecoder } from '@forerunner/tokenizer';
import { Registry } from 'prom-client';
import { Admission } from '../src/admission.ts';
import { ClassicDraftSession } from '../src/drafting/classic-draft-session.ts';
import type { DraftLengthPolicy } from '../src/drafting/draft-length.ts';
import type { DraftContext } from '../src/drafting/draft-sequence.ts';
import type { DraftSession } from '../src/drafting/draft-session.ts';
import { FeatureDraftSession } from '../src/drafting/feature-draft-session.ts';
import { Generation, type GenerationParams } from '../src/generation/generation.ts';
import type { AnswerGrammar } from '../src/generation/grammar/answer-grammar.ts';
import type { RoundRecord } from '../src/generation/round.ts';
import { RoundObserver } from '../src/generation/round-observer.ts';
import { TrafficMeter } from '../src/generation/traffic-meter.ts';
import { chooseRule } from '../src/generation/verification/choose-rule.ts';
import type { VerificationRule } from '../src/generation/verification/rule.ts';
import { createMetrics } from '../src/metrics.ts';
import type { DraftPool } from '../src/pair/draft-pool.ts';
import { TargetSequence } from '../src/pair/target-sequence.ts';
import { HIDDEN_WIDTH, type ToyPeer } from './toy-peers.ts';
import { ToyPools } from './toy-pools.ts';

/** The same number of guesses in every round. */
function fixedLength(numSpeculativeTokens: number): DraftLengthPolicy {
  const forecast = { tokensPerMs: 1, tokensPerMsWithout: 1 };
  return {
    ofDraft: () => ({ numSpeculativeTokens, minConfidence: 0, forecast }),
    ofText: (kept) => ({ numSpeculativeTokens: kept.length, minConfidence: 0, forecast }),
    observe: () => {},
    close: () => {},
  };
}

/** Token 1 is "b", token 2 is "c" ...; the end-of-sequence token has no text. */
export const toyText = (ids: readonly number[]): string =>
  ids.map((id) => (id === 0 ? '' : 'abcdefghijklmnop'[id])).join('');

export const sampling = (change: Partial<WireSampling> = {}): WireSampling => ({
  temperature: 1,
  top_k: 0,
  top_p: 1,
  min_p: 0,
  repetition_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  logit_bias: {},
  suppress_tokens: [],
  output_start: 0,
  ...change,
});

export interface ToyParams extends GenerationParams {
  readonly seed: number;
  readonly numSpeculativeTokens: number;
  /** Default: `numSpeculativeTokens` in every round. */
  readonly draftLength?: DraftLengthPolicy;
  /** Default: what requests have that name none. */
  readonly verification?: VerificationRuleName;
  /** Default: what `verification` names. */
  readonly rule?: VerificationRule;
  /** What the answer must match. */
  readonly openGrammar?: () => AnswerGrammar;
}

export class ToyTrio {
  readonly target: ToyPeer;
  readonly draft: ToyPeer;
  readonly registry = new Registry();
  readonly pools: ToyPools;
  readonly #metrics;

  /** `otherDrafts`: more of the same pool. */
  constructor(target: ToyPeer, draft: ToyPeer, otherDrafts: readonly ToyPeer[] = []) {
    this.target = target;
    this.draft = draft;
    this.pools = new ToyPools([target], [draft, ...otherDrafts], () => performance.now());
    this.#metrics = createMetrics(this.registry, {
      admission: new Admission({ maxRunning: 1, maxWaiting: 0 }),
      drafts: this.drafts,
    });
  }

  get drafts(): DraftPool {
    return this.pools.drafts;
  }

  /** Bytes of hidden states that a session keeps. */
  maxWindowBytes = 1 << 20;

  /** The session that a request gets; another one may be put in its place. */
  openDraft: (context: DraftContext) => DraftSession = (draftContext) => {
    if (!this.draft.featureModel) return new ClassicDraftSession(this.drafts, draftContext);
    const options = { width: HIDDEN_WIDTH, maxWindowBytes: this.maxWindowBytes };
    return new FeatureDraftSession(this.drafts, draftContext, options);
  };

  /** Looks at each round before the next one is wanted, and may throw. */
  onRound: (round: RoundRecord) => Promise<void> | void = () => {};

  /** Runs one answer to its end. */
  async generate(change: Partial<ToyParams> = {}, signal: AbortSignal = new AbortController().signal) {
    const params: ToyParams = {
      promptTokenIds: Int32Array.of(3, 5),
      sampling: sampling(),
      seed: 1,
      maxNewTokens: 20,
      stop: [],
      stopTokenIds: [0],
      numSpeculativeTokens: 4,
      numTopLogprobs: null,
      ...change,
    };
    if (this.pools.targets.all.length === 0) await this.pools.check();
    const traffic = new TrafficMeter();
    const context = { requestId: 'r', signal, cacheScope: '', onTraffic: traffic.add };
    const target = new TargetSequence(this.pools.targets, {
      ...context,
      timeoutMs: 1000,
      modelDigest: 'd'.repeat(64),
    });
    const { numSpeculativeTokens, seed, sampling: wire } = params;
    const rule =
      params.rule ?? chooseRule(params.verification ?? DEFAULT_VERIFICATION, { temperature: wire.temperature, seed });
    const draftContext = { ...context, noise: rule.draftNoise, sampling: wire };
    const draft = numSpeculativeTokens === 0 ? null : this.openDraft(draftContext);
    const observer = new RoundObserver(this.#metrics, rule.name);
    const generation = new Generation(params, {
      rule,
      traffic,
      draftLength: params.draftLength ?? fixedLength(numSpeculativeTokens),
      target,
      draft,
      grammar: params.openGrammar?.() ?? null,
      decoder: new IncrementalDecoder(toyText),
      observer,
    });
    const rounds: RoundRecord[] = [];
    try {
      for await (const round of generation.rounds()) {
        await this.onRound(round);
        rounds.push(round);
      }
    } finally {
      await Promise.all([target.close(), draft?.close()]);
    }
    const pieces = rounds.map((round) => round.text);
    return { output: generation.output, statistics: observer.statistics.metrics(), rounds, pieces };
  }
}
