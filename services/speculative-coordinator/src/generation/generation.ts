/**
 * One answer: prefill, then rounds of propose, score, verify, commit, until a stop rule ends it. The loop alone: how
 * guesses are judged, how many there are and who makes them, when the text ends and what is counted stand behind
 * interfaces.
 *
 * Words: `committed` is the prompt and every token emitted so far. A round emits the accepted draft tokens and one
 * token that follows them (recovered or bonus). A refusal ends the round, never the answer. The draft, present or not,
 * never changes the distribution of the answer; it only changes how many passes of the target it takes.
 */
import { type Provenance, type ScoreReply, ServiceError, TokenPrefix, type WireSampling } from '@forerunner/protocol';
import { numMaskWords, type VerificationOutcome } from '@forerunner/sampling';
import type { IncrementalDecoder } from '@forerunner/tokenizer';
import { type DraftLengthPolicy, type PlannedLength, RoundLengths } from '../drafting/draft-length.ts';
import type { DraftSession, ProposeResult } from '../drafting/draft-session.ts';
import type { TargetSequence } from '../pair/target-sequence.ts';
import type { AnswerGrammar } from './grammar/answer-grammar.ts';
import { constrainedGuesses, forcedGuesses, type Guesses, guessesOf, NO_GUESSES } from './guesses.ts';
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
  /** What the answer must match; none: anything. */
  readonly grammar?: AnswerGrammar | null;
  readonly draftLength: DraftLengthPolicy;
  readonly rule: VerificationRule;
  readonly traffic: TrafficMeter;
  readonly decoder: IncrementalDecoder;
  readonly observer: GenerationObserver;
}

/** What came of asking for guesses, and when. */
interface Proposed {
  /** Whether the draft's session was asked, and what it said. */
  readonly result: ProposeResult;
  /** What whoever guessed was allowed; null: nobody planned any guesses. */
  readonly length: PlannedLength | null;
  readonly guesses: Guesses;
  readonly startMs: number;
  readonly proposeMs: number;
  /** The part of it that the grammar took. */
  readonly grammarMs: number;
}

const NOTHING = { result: { kind: 'none' }, length: null } as const;
/**
 * Most tokens that a grammar forces in one round. The text is forced, its tokens are not: after a refusal there are
 * half as many, while they are kept twice as many again.
 */
const MAX_FORCED_TOKENS = 16;
const MIN_FORCED_TOKENS = 2;

export class Generation {
  readonly output: Output;
  readonly #params: GenerationParams;
  readonly #deps: GenerationDeps;
  readonly #committed: TokenPrefix;
  readonly #minTokens: MinTokens;
  #maxForcedTokens = MAX_FORCED_TOKENS;

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
    let round = await this.#round(0, await this.#propose({ asksDraft: false }));
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

  async #propose({ asksDraft = true } = {}): Promise<Proposed> {
    const { draft, grammar } = this.#deps;
    const startMs = performance.now();
    const maxGuesses = draft ? this.#maxGuesses : 0;
    const maxForced = Math.min(this.#maxForcedTokens, maxGuesses);
    const forced = grammar && maxForced > 0 ? forcedGuesses(await grammar.forcedTokens(maxForced)) : NO_GUESSES;
    const forcedMs = performance.now() - startMs;
    const isForced = forced.numForcedTokens > 0;
    const { result, length } = asksDraft && !isForced ? await this.#askDraft(maxGuesses) : NOTHING;
    const free = isForced ? forced : guessesOf(result.kind === 'proposal' ? result : null);
    const constrainMs = performance.now();
    const guesses = grammar ? constrainedGuesses(free, await grammar.constrain(free.tokenIds, maxGuesses)) : free;
    if (guesses.allowedTokens?.length === 0) throw deadEnd();
    const endMs = performance.now();
    return { result, length, guesses, startMs, proposeMs: endMs - startMs, grammarMs: forcedMs + endMs - constrainMs };
  }

  /** A round emits its guesses and one token more: never guess what could not be emitted. */
  get #maxGuesses(): number {
    const { numRemainingTokens, tokenIds } = this.output;
    return Math.min(numRemainingTokens - 1, this.#minTokens.maxDraftTokens(tokenIds.length));
  }

  async #askDraft(maxGuesses: number): Promise<Pick<Proposed, 'result' | 'length'>> {
    const lengths = new RoundLengths(this.#deps.draftLength, maxGuesses);
    const result = (await this.#deps.draft?.propose({ committed: this.#committed, lengths })) ?? NOTHING.result;
    return { result, length: lengths.of(result.kind === 'proposal' ? result.origin : null) };
  }

  /** Tells the policy what came of a round. */
  #teach({ index, origin, limit, numDraftTokens, numAcceptedTokens, numReusedTokens, times, timings }: RoundRecord) {
    const { draft, target } = timings;
    this.#deps.draftLength.observe({
      index,
      origin: origin === 'grammar' ? null : origin,
      limit,
      numDraftTokens,
      numAcceptedTokens,
      numReusedTokens,
      numTokens: this.#committed.length,
      target: { callMs: times.scoreMs, timing: target },
      draft: draft && { callMs: times.proposeMs - (times.grammarMs ?? 0), timing: draft },
      roundMs: times.roundMs,
    });
  }

  /** Scores, verifies and commits. */
  async #round(index: number, proposed: Proposed): Promise<RoundRecord> {
    const { result, length, guesses, startMs, proposeMs, grammarMs } = proposed;
    const { rule, target, draft } = this.#deps;
    const { tokenIds: draftTokenIds, distributions: draftDistributions, numForcedTokens, allowedTokens } = guesses;
    const numGuesses = draftTokenIds.length;
    const numDraftTokens = numGuesses - numForcedTokens;
    const position = this.#committed.length;
    const hiddenStates = draft?.hiddenStatesWanted(this.#committed);
    const scoreStartMs = performance.now();
    const reply = await target.score({
      committed: this.#committed,
      draftTokenIds,
      wanted: rule.ask(draftDistributions),
      numRows: numGuesses + 1,
      sampling: this.#minTokens.samplingAt(this.output.tokenIds.length),
      allowedTokens,
      numTopLogprobs: this.#params.numTopLogprobs,
      hiddenStatesFrom: hiddenStates?.from,
      prefersReuse: hiddenStates?.prefersReuse,
    });
    const scoreMs = performance.now() - scoreStartMs;

    const outcome = rule.judge(draftTokenIds, reply);
    const { numAcceptedTokens: numKept } = outcome;
    const numAcceptedTokens = Math.min(numKept, numDraftTokens);
    target.keep(position + numKept);
    if (numForcedTokens > 0 && numKept >= numDraftTokens) this.#adjustForced(numKept === numGuesses);
    if (result.kind === 'proposal') draft?.settle(numAcceptedTokens);
    if (reply.hiddenStates) {
      const end = position + numGuesses;
      draft?.observe({ hiddenStates: reply.hiddenStates, end, numCommitted: position + numKept });
    }
    const tokens = this.#commit(guesses, outcome, reply);
    const text = this.output.takeReleasable();
    const roundMs = proposeMs + performance.now() - scoreStartMs;
    return {
      index,
      tokens,
      text,
      proposal: result.kind,
      origin: originOf(result, guesses),
      limit: length?.numSpeculativeTokens ?? 0,
      numDraftTokens,
      numAcceptedTokens,
      guesses,
      nextTokenId: nextTokenOf(outcome),
      numForcedTokens,
      numAcceptedForcedTokens: numKept - numAcceptedTokens,
      numReusedTokens: reply.num_reused_tokens,
      numBytes: this.#deps.traffic.take(),
      times: { startMs, proposeMs, grammarMs: this.#deps.grammar ? grammarMs : null, scoreMs, roundMs },
      timings: { draft: result.kind === 'proposal' ? result.timing : null, target: reply.timing },
      forecast: length?.forecast ?? null,
    };
  }

  #adjustForced(allKept: boolean): void {
    const wanted = allKept ? 2 * this.#maxForcedTokens : Math.floor(this.#maxForcedTokens / 2);
    this.#maxForcedTokens = Math.min(MAX_FORCED_TOKENS, Math.max(MIN_FORCED_TOKENS, wanted));
  }

  /** Appends tokens one at a time until a stop rule ends the answer; the rest of the round is trimmed. */
  #commit(guesses: Guesses, outcome: VerificationOutcome, reply: ScoreReply): EmittedToken[] {
    const { numAcceptedTokens } = outcome;
    const { grammar } = this.#deps;
    const numMasked = numMaskedRows(guesses, reply);
    const tokens: EmittedToken[] = [];
    for (let i = 0; i <= numAcceptedTokens && this.output.finishReason === null; i++) {
      if (i >= numMasked) throw deadEnd(); // the token there was drawn from anything
      const isAccepted = i < numAcceptedTokens;
      const tokenId = isAccepted ? guesses.tokenIds[i]! : nextTokenOf(outcome);
      const provenance = provenanceOf(i, guesses, outcome);
      this.#committed.append([tokenId]);
      grammar?.commit(tokenId);
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

const nextTokenOf = (outcome: VerificationOutcome): number => outcome.recoveredTokenId ?? outcome.bonusTokenId!;

/** Of the token at place `i` of a round. */
function provenanceOf(i: number, { tokenIds, numForcedTokens }: Guesses, outcome: VerificationOutcome): Provenance {
  if (i < outcome.numAcceptedTokens) return i < tokenIds.length - numForcedTokens ? 'accepted' : 'forced';
  if (tokenIds.length === 0) return 'target';
  return outcome.bonusTokenId === undefined ? 'recovered' : 'bonus';
}

function originOf(result: ProposeResult, { tokenIds }: Guesses): RoundRecord['origin'] {
  if (result.kind === 'proposal') return result.origin;
  return tokenIds.length > 0 ? 'grammar' : null;
}

/** Rows of a reply whose tokens are of the answer's own distribution. */
function numMaskedRows({ tokenIds, allowedTokens }: Guesses, { vocab_size }: ScoreReply): number {
  return allowedTokens ? allowedTokens.length / numMaskWords(vocab_size) : tokenIds.length + 1;
}

const deadEnd = () => new ServiceError('unsupported_value', 'the grammar of this answer leaves no way on, and no end');
