/**
 * A draft- and a target-service in memory, over toy language models whose distributions are known exactly: the same messages as
 * the real ones, and every fault on demand.
 */
import {
  distributionAt,
  encodeFrame,
  type Frame,
  flattenFrame,
  type ModelCard,
  type ProposeRequest,
  packDistributions,
  parseOrThrow,
  proposeReplyFrame,
  proposeRequestSchema,
  readDistributionRows,
  type ScoreReply,
  type ScoreRequest,
  scoreReplyFrame,
  scoreRequestSchema,
  TokenPrefix,
} from '@forerunner/protocol';
import {
  CounterRng,
  CoupledNoise,
  drawCoupled,
  drawFrom,
  oneHotDistribution,
  STREAM,
  seededVerdict,
  type TokenDistribution,
} from '@forerunner/sampling';
import { type Peer, PeerError } from '@forerunner/service-kit';
import { testCard } from '@forerunner/testkit';

export const VOCAB_SIZE = 16;
/** Next-token distribution given the whole text. */
export type ToyModel = (text: Int32Array) => Float32Array; // [VOCAB_SIZE]

/** Hidden states have this width. */
export const HIDDEN_WIDTH = 4;

/** What the toy target "saw" at a position: a function of the text up to there. */
function toyHiddenState(text: Int32Array): Float16Array {
  const last = text.at(-1) ?? 0;
  return Float16Array.of(last, text.at(-2) ?? 0, text.length % 7, 1);
}

/** A distribution that depends on the last two tokens. `sharpness` 0 is uniform; `salt` tells models apart. */
export function toyModel(salt: number, sharpness: number, eosProb = 0): ToyModel {
  return (text) => {
    const a = text.at(-1) ?? 0;
    const b = text.at(-2) ?? 0;
    const weights = Float32Array.from({ length: VOCAB_SIZE }, (_, v) => {
      let h = Math.imul(a + 17 * b + 289 * v + 7919 * salt, 0x9e3779b1);
      h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
      return Math.exp(sharpness * (((h ^ (h >>> 13)) >>> 0) / 2 ** 32));
    });
    weights[0] = 0; // token 0 is end of sequence
    const sum = weights.reduce((total, w) => total + w, 0);
    const probs = weights.map((w) => ((1 - eosProb) * w) / sum);
    probs[0] = eosProb;
    return probs;
  };
}

/** A mixture: `weight` of one model, the rest of another. A good draft is mostly its target. */
export function mixed(a: ToyModel, b: ToyModel, weight: number): ToyModel {
  return (text) => {
    const [p, q] = [a(text), b(text)];
    return p.map((x, i) => weight * x + (1 - weight) * q[i]!);
  };
}

export const toyCard = (service: ModelCard['service'], change: Partial<ModelCard> = {}): ModelCard =>
  testCard(service, { model_id: `toy-${service}`, vocab_size: VOCAB_SIZE, ...change });

/** Decides before each call what goes wrong: nothing, or an error to throw, perhaps only later or never. */
export type FaultPlan = (callNumber: number, peer: ToyPeer) => Error | null | Promise<Error | null>;

export class ToyPeer implements Peer {
  readonly url: string;
  readonly name: 'draft-service' | 'target-service';
  readonly #model: ToyModel;
  readonly #sequences = new Map<string, TokenPrefix>();
  faults: FaultPlan = () => null;
  /** What it serves now; another value is another model. */
  modelDigest = 'd'.repeat(64);
  /** What its card says otherwise than a toy's does. */
  cardChange: Partial<ModelCard> = {};
  numCalls = 0;
  numFreed = 0;
  /** What the draft claims its distribution was, where that is to be a lie. */
  claimedModel: ToyModel | null = null;
  /** A draft that reads hidden states: one row per token, kept beside the text, and read by its model. */
  featureModel: ((text: Int32Array, feature: Float16Array) => Float32Array) | null = null;
  /** What becomes of the target's hidden states on their way. */
  distortHiddenStates: (row: Float16Array) => Float16Array = (row) => row;
  readonly #receivedRows = new Map<string, Float16Array[]>();
  /** Passed on after each call: tokens that were new in it and had to be computed. */
  readonly newTokensPerCall: number[] = [];
  /** Rows of hidden states in each of the target's replies that had any. */
  readonly numHiddenStatesPerCall: number[] = [];
  /** Freed sequences leave what they held to texts of their scope that begin alike. */
  keepsPrefixes = false;
  #freed: { scope: string; ids: Int32Array; rows: Float16Array[] }[] = [];
  readonly #scopes = new Map<string, string>();
  /** Tokens of each sequence that follow from the text, and not from a draft's own estimates. */
  readonly #numShareable = new Map<string, number>();

  constructor(name: ToyPeer['name'], model: ToyModel, url = 'toy://') {
    this.name = name;
    this.url = url;
    this.#model = model;
  }

  get numSequences(): number {
    return this.#sequences.size;
  }

  /** How long each call was given. */
  readonly deadlinesMs: number[] = [];

  /** As a restart or an eviction does. */
  loseSequences(): void {
    this.#sequences.clear();
    this.#freed = [];
  }

  async postFrame(
    path: string,
    frame: Frame,
    { signal, timeoutMs }: { signal?: AbortSignal | undefined; timeoutMs?: number } = {},
  ): Promise<Uint8Array> {
    const aborted = new Promise<never>((_, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
    );
    const fault = await Promise.race([this.faults(this.numCalls++, this), aborted]);
    if (fault) throw fault;
    const message = flattenFrame(encodeFrame(frame));
    this.deadlinesMs.push(timeoutMs ?? Number.POSITIVE_INFINITY);
    return path === '/v1/score' ? this.#score(message) : this.#propose(message);
  }

  async getJson(): Promise<unknown> {
    return toyCard(this.name, { model_digest: this.modelDigest, ...this.cardChange });
  }

  async delete(path: string): Promise<void> {
    this.numFreed++;
    const id = path.split('/').at(-1)!;
    const text = this.#sequences.get(id);
    if (text && this.keepsPrefixes) {
      const ids = text.ids(0, this.#numShareable.get(id)).slice();
      this.#freed.push({ scope: this.#scopes.get(id)!, ids, rows: (this.#receivedRows.get(id) ?? []).slice() });
    }
    this.#sequences.delete(id);
  }

  async close(): Promise<void> {}

  #score(message: Record<string, unknown>): Uint8Array {
    const request = parseOrThrow(scoreRequestSchema, message);
    if ((request.model_digest ?? this.modelDigest) !== this.modelDigest)
      throw new PeerError('refused', 'another model', 'model_mismatch', { model_digest: this.modelDigest });
    const numRows = request.num_rows ?? request.token_ids.length;
    const end = request.position + request.token_ids.length;
    const wantedFrom = request.hidden_states_from ?? request.position;
    const computesFrom = request.include_hidden_states && !request.prefer_reuse ? wantedFrom : end;
    const reused = this.#reuse(request, Math.min(computesFrom, end - numRows));
    const text = this.#append(request, reused);
    const hiddenStatesFrom = Math.max(wantedFrom, request.position + reused);
    const distributions = Array.from({ length: numRows }, (_, row) =>
      allowed(
        this.#distribution(text.ids(0, text.length - numRows + 1 + row), request.sampling.temperature),
        request.allowed_tokens?.[row],
      ),
    );
    return encodeFrame(
      scoreReplyFrame({
        ...this.#header(request.sequence_id, text, reused),
        ...rowsOf(request, distributions, text),
        ...(request.include_hidden_states && {
          hiddenStates: this.#hiddenStatesOf(text, end - hiddenStatesFrom),
          hidden_states_from: hiddenStatesFrom,
        }),
      }),
    );
  }

  #propose(message: Record<string, unknown>): Uint8Array {
    const request = parseOrThrow(proposeRequestSchema, message);
    const { position, hidden_states_from: from = position } = request;
    const reused = this.#reuse(request, this.featureModel ? from : position + request.token_ids.length - 1);
    if (this.featureModel && position + reused < from) {
      if (reused > 0) this.#append({ ...request, token_ids: request.token_ids.slice(0, reused) }, reused);
      throw new PeerError('refused', 'rows are missing', 'sequence_mismatch', { cached_length: position + reused });
    }
    const text = this.#append(request, reused);
    const rng = new CounterRng(request.seed);
    const draftTokenIds: number[] = [];
    const distributions: TokenDistribution[] = [];
    const hiddenStates = this.#takeHiddenStates(request);
    for (let i = 0; i < request.num_speculative_tokens; i++) {
      const probs = this.featureModel?.(text.ids(), hiddenStates.at(-1)!) ?? this.#model(text.ids());
      const distribution = this.#tempered(probs, request.sampling.temperature);
      const id =
        request.sampling.temperature === 0
          ? argmaxOf(distribution.probs)
          : request.coupled
            ? drawCoupled(distribution, new CoupledNoise(request.seed, text.length + request.noise_offset))
            : drawFrom(distribution, rng.uniform(STREAM.draftDraw, text.length + request.noise_offset, i));
      draftTokenIds.push(id);
      distributions.push(this.claimedModel ? { tokenIds: null, probs: this.claimedModel(text.ids()) } : distribution);
      if (i + 1 < request.num_speculative_tokens) {
        hiddenStates.push(toyHiddenState(text.ids())); // its own estimate of what the target sees before this guess
        text.append([id]);
      }
    }
    return encodeFrame(
      proposeReplyFrame({
        ...this.#header(request.sequence_id, text, reused),
        draftTokenIds: Int32Array.from(draftTokenIds),
        ...(request.sampling.temperature > 0 &&
          !request.coupled && { distributions: packDistributions(distributions) }),
      }),
    );
  }

  /** How many of a new text's first tokens a freed sequence of its scope held; no more than the first `limit`. */
  #reuse(request: { sequence_id: string; cache_scope: string; token_ids: Int32Array }, limit: number): number {
    const { sequence_id, cache_scope, token_ids } = request;
    if (this.#sequences.has(sequence_id)) return 0;
    let longest = 0;
    for (const { scope, ids, rows } of this.#freed) {
      const differs = token_ids.findIndex((id, i) => id !== ids[i] || i === limit);
      const numShared = Math.min(differs === -1 ? token_ids.length : differs, limit);
      if (scope !== cache_scope || numShared < 16 || numShared <= longest) continue;
      longest = numShared;
      this.#receivedRows.set(sequence_id, rows.slice(0, numShared));
    }
    return longest;
  }

  #append(
    request: {
      sequence_id: string;
      position: number;
      prefix_digest: string;
      token_ids: Int32Array;
      cache_scope: string;
    },
    numReused: number,
  ): TokenPrefix {
    const text = this.#sequences.get(request.sequence_id) ?? new TokenPrefix();
    const known = request.position <= text.length && text.digestAt(request.position) === request.prefix_digest;
    if (!known) {
      const cached_length = request.position <= text.length ? 0 : text.length;
      throw new PeerError('refused', 'sequence mismatch', 'sequence_mismatch', { cached_length });
    }
    text.truncate(request.position);
    text.append(request.token_ids);
    this.#sequences.set(request.sequence_id, text);
    this.#scopes.set(request.sequence_id, request.cache_scope);
    this.#numShareable.set(request.sequence_id, text.length);
    this.newTokensPerCall.push(request.token_ids.length - numReused);
    return text;
  }

  #distribution(text: Int32Array, temperature: number): TokenDistribution {
    return this.#tempered(this.#model(text), temperature);
  }

  #hiddenStatesOf(text: TokenPrefix, numRows: number): Float16Array {
    this.numHiddenStatesPerCall.push(numRows);
    const rows = new Float16Array(numRows * HIDDEN_WIDTH);
    for (let row = 0; row < numRows; row++) {
      const state = toyHiddenState(text.ids(0, text.length - numRows + row + 1));
      rows.set(this.distortHiddenStates(state), row * HIDDEN_WIDTH);
    }
    return rows;
  }

  /** One row per token of the text, those of the new tokens from the request. */
  #takeHiddenStates(request: ProposeRequest): Float16Array[] {
    if (!this.featureModel) return [];
    const { sequence_id, position, token_ids, hidden_states: given, hidden_states_from: from = position } = request;
    const numGiven = position + token_ids.length - from;
    if ((given?.length ?? 0) !== numGiven * HIDDEN_WIDTH) throw new Error('a feature row for every token');
    const rows = (this.#receivedRows.get(sequence_id) ?? []).slice(0, from);
    for (let i = 0; i < numGiven; i++) rows.push(given!.slice(i * HIDDEN_WIDTH, (i + 1) * HIDDEN_WIDTH));
    this.#receivedRows.set(sequence_id, rows);
    return rows;
  }

  #tempered(probs: Float32Array, temperature: number): TokenDistribution {
    if (temperature === 0 || temperature === 1) return { tokenIds: null, probs };
    return { tokenIds: null, probs: probs.map((p) => p ** (1 / temperature)) };
  }

  #header(sequence_id: string, text: TokenPrefix, num_reused_tokens: number) {
    return {
      sequence_id,
      cached_length: text.length,
      vocab_size: VOCAB_SIZE,
      num_reused_tokens,
      timing: { queue_ms: 0, model_ms: 0, total_ms: 0 },
    };
  }
}

/** What the target answers of the rows after the text's last tokens, by the functions that the real one uses. */
function rowsOf(request: ScoreRequest, distributions: TokenDistribution[], text: TokenPrefix): Partial<ScoreReply> {
  const { rows, seed, sampling } = request;
  const first = text.length - distributions.length + 1; // position of the first row's token
  if (rows === 'argmax') return { argmaxTokenIds: Int32Array.from(distributions, ({ probs }) => argmaxOf(probs)) };
  if (rows === 'samples') {
    const draw = (one: TokenDistribution, i: number) => drawCoupled(one, new CoupledNoise(seed, first + i));
    return { sampledTokenIds: Int32Array.from(distributions, draw) };
  }
  const drafts = request.prob_offsets ? readDistributionRows(request, VOCAB_SIZE) : null;
  const verdict = seededVerdict(request.verification!, {
    seed,
    position: first,
    draftTokenIds: text.ids(first).slice(),
    draftDistributions: drafts ? distributions.slice(1).map((_, i) => distributionAt(drafts, i)) : [],
    targetDistribution: (i) => sampled(distributions[i]!, sampling.temperature),
  });
  return {
    num_accepted_tokens: verdict.numAcceptedTokens,
    next_token_id: verdict.bonusTokenId ?? verdict.recoveredTokenId,
  };
}

/** Without the tokens whose bits are 0; VOCAB_SIZE of them are one word. */
function allowed({ probs }: TokenDistribution, bits = -1): TokenDistribution {
  if (bits === -1) return { tokenIds: null, probs };
  const kept = probs.map((p, id) => ((bits >>> id) & 1 ? p : 0));
  const total = kept.reduce((sum, p) => sum + p, 0);
  return { tokenIds: null, probs: kept.map((p) => p / total) };
}

/** What a token is drawn from: at temperature 0 the likeliest one alone. */
const sampled = (distribution: TokenDistribution, temperature: number): TokenDistribution =>
  temperature === 0 ? oneHotDistribution(argmaxOf(distribution.probs)) : distribution;

const argmaxOf = (probs: TokenDistribution['probs']): number =>
  probs.indexOf(probs.reduce((best, p) => Math.max(best, p), 0));
