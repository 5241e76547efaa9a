/**
 * One answer: prefill, then rounds of propose, score, verify, commit, until a stop rule ends it. The loop alone: how
 * guesses are judged, how many there are and who makes them, when the text ends and what is counted stand behind
 * interfaces.
 *
 * Words: `committed` is the prompt and every token emitted so far. A round emits the accepted draft tokens and one
 * token that follows them (recovered or bonus). A refusal ends the round, never the answer. The draft, present or not,
 * never changes the distribution of the answer; it only changes how many passes of the target it takes.
 */
import { type Provenance, type ScoreReply, TokenPrefix, type WireSampling } from '@forerunner/protocol';
import type { VerificationOutcome } from '@forerunner/sampling';
import type { IncrementalDecoder } from '@forerunner/tokenizer';
import { type DraftLengthPolicy, type PlannedLength, RoundLengths } from '../drafting/draft-length.ts';
import type { DraftSession, Proposal, ProposeResult } from '../drafting/draft-session.ts';
import type { TargetSequence } from '../pair/target-sequence.ts';
import { logprobsOfToken } from './logprobs.ts';
import { MinTokens } from './min-tokens.ts';
import { Output, type OutputRules } from './output.ts';
import type { EmittedToken, GenerationObserver, RoundRecord } from './round.ts';
import type { TrafficMeter } from './traffic-meter.ts';
import type { VerificationRule } from './verification/rule.ts';

export interface GenerationParams extends OutputRules {
  readonly promptTokenIds: Int32Array;
  readonly sampling: WireSampling;
  /** Log probabilities of the model's own distribution (before temperature and filters) for every token; null: none. */
  readonly numTopLogprobs: number | null;
}

export interface GenerationDeps {
  readonly target: TargetSequence;
  /** null: the target alone. */
  readonly draft: DraftSession | null;
  readonly draftLength: DraftLengthPolicy;
  readonly rule: VerificationRule;
  readonly traffic: TrafficMeter;
  readonly decoder: IncrementalDecoder;
  readonly observer: GenerationObserver;
}

/** What came of asking for guesses, and when. */
interface Proposed {
  readonly result: ProposeResult;
  /** What whoever guessed was allowed; null: nobody planned any guesses. */
  readonly length: PlannedLength | null;
  readonly startMs: number;
  readonly proposeMs: number;
}

const NO_TOKENS = new Int32Array(0);
const NOTHING = { result: { kind: 'none' }, length: null } as const;

export class Generation {
  readonly output: Output;
  readonly #params: GenerationParams;
  readonly #deps: GenerationDeps;
  readonly #committed: TokenPrefix;
  readonly #minTokens: MinTokens;

  constructor(params: GenerationParams, deps: GenerationDeps) {
    this.#params = params;
    this.#deps = deps;
    this.#committed = new TokenPrefix(params.promptTokenIds.length + params.maxNewTokens);
    this.#committed.append(params.promptTokenIds);
    this.output = new Output(params, deps.decoder);
    this.#minTokens = new MinTokens(params.sampling, params.stopTokenIds, params.minNewTokens);
  }

  /** Errors: ServiceError of the target; the signal's reason when aborted. Whoever began must run it to its end. */
  async *rounds(): AsyncGenerator<RoundRecord> {
    const { draft, observer } = this.#deps;
    observer.begin(this.#committed.length);
    if (this.output.finishReason !== null) return; // no token was asked for
    await draft?.prefill(this.#committed);
    let round = await this.#round(0, { ...NOTHING, startMs: performance.now(), proposeMs: 0 });
    let proposing: Promise<Proposed> | undefined;
    try {
      for (;;) {
        this.#teach(round);
        const isLast = this.output.finishReason !== null;
        if (!isLast) {
          // Asked for before anybody looks at the round: what they do with it takes its time while the draft works.
          proposing = this.#propose();
          proposing.catch(() => {}); // it is thrown where it is awaited, which may be later
        }
        observer.observe(round);
        yield round;
        if (isLast) return;
        round = await this.#round(round.index + 1, await proposing!);
      }
    } finally {
      await proposing?.catch(() => {}); // also when nobody wants the next round: nothing is under way any more
    }
  }

  async #propose(): Promise<Proposed> {
    const { draft } = this.#deps;
    const startMs = performance.now();
    const { output } = this;
    const maxGuesses = Math.min(output.numRemainingTokens - 1, this.#minTokens.maxDraftTokens(output.tokenIds.length));
    const lengths = new RoundLengths(this.#deps.draftLength, maxGuesses);
    const result = (await draft?.propose({ committed: this.#committed, lengths })) ?? NOTHING.result;
    const length = lengths.of(result.kind === 'proposal' ? result.origin : null);
    return { result, length, startMs, proposeMs: performance.now() - startMs };
  }

  /** Tells the policy what came of a round. */
  #teach({ index, origin, limit, numDraftTokens, numAcceptedTokens, numReusedTokens, times, timings }: RoundRecord) {
    const { draft, target } = timings;
    this.#deps.draftLength.observe({
      index,
      origin,
      limit,
      numDraftTokens,
      numAcceptedTokens,
      numReusedTokens,
      numTokens: this.#committed.length,
      target: { callMs: times.scoreMs, timing: target },
      draft: draft && { callMs: times.proposeMs, timing: draft },
    });
  }

  /** Scores, verifies and commits. */
  async #round(index: number, { result, length, startMs, proposeMs }: Proposed): Promise<RoundRecord> {
    const { rule, target, draft } = this.#deps;
    const proposal = result.kind === 'proposal' ? result : null;
    const draftTokenIds = proposal?.draftTokenIds ?? NO_TOKENS;
    const numDraftTokens = draftTokenIds.length;
    const position = this.#committed.length;
    const hiddenStates = draft?.hiddenStatesWanted(this.#committed);
    const scoreStartMs = performance.now();
    const reply = await target.score({
      committed: this.#committed,
      draftTokenIds,
      wanted: rule.ask(proposal?.draftDistributions ?? null),
      numRows: numDraftTokens + 1,
      sampling: this.#minTokens.samplingAt(this.output.tokenIds.length),
      numTopLogprobs: this.#params.numTopLogprobs,
      hiddenStatesFrom: hiddenStates?.from,
      prefersReuse: hiddenStates?.prefersReuse,
    });
    const scoreMs = performance.now() - scoreStartMs;

    const outcome = rule.judge(draftTokenIds, reply);
    const { numAcceptedTokens } = outcome;
    target.keep(position + numAcceptedTokens);
    if (proposal) draft?.settle(numAcceptedTokens);
    if (reply.hiddenStates) {
      const end = position + numDraftTokens;
      draft?.observe({ hiddenStates: reply.hiddenStates, end, numCommitted: position + numAcceptedTokens });
    }
    const tokens = this.#commit(proposal, outcome, reply);
    const text = this.output.takeReleasable();
    const roundMs = proposeMs + performance.now() - scoreStartMs;
    return {
      index,
      tokens,
      text,
      proposal: result.kind,
      origin: proposal?.origin ?? null,
      limit: length?.numSpeculativeTokens ?? 0,
      numDraftTokens,
      numAcceptedTokens,
      numReusedTokens: reply.num_reused_tokens,
      numBytes: this.#deps.traffic.take(),
      times: { startMs, proposeMs, scoreMs, roundMs },
      timings: { draft: proposal?.timing ?? null, target: reply.timing },
      forecast: length?.forecast ?? null,
    };
  }

  /** Appends tokens one at a time until a stop rule ends the answer; the rest of the round is trimmed. */
  #commit(proposal: Proposal | null, outcome: VerificationOutcome, reply: ScoreReply): EmittedToken[] {
    const { numAcceptedTokens } = outcome;
    const tokens: EmittedToken[] = [];
    for (let i = 0; i <= numAcceptedTokens && this.output.finishReason === null; i++) {
      const isAccepted = i < numAcceptedTokens;
      const tokenId = isAccepted ? proposal!.draftTokenIds[i]! : (outcome.recoveredTokenId ?? outcome.bonusTokenId!);
      const provenance = isAccepted ? 'accepted' : provenanceOfLast(proposal, outcome);
      this.#committed.append([tokenId]);
      const text = this.output.push(tokenId, provenance);
      tokens.push({
        tokenId,
        provenance,
        text,
        logprobs: logprobsOfToken(reply, i),
      });
    }
    return tokens;
  }
}

function provenanceOfLast(proposal: Proposal | null, { bonusTokenId }: VerificationOutcome): Provenance {
  if (!proposal) return 'target';
  return bonusTokenId === undefined ? 'recovered' : 'bonus';
}
