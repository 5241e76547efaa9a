/**
 * A draft- and a target-service over HTTP whose "model" recites a text: the target gives each next token of the script
 * nearly all of the mass, the draft guesses it, wrong at chosen places. So tests know every character of an answer.
 */
import {
  distributionAt,
  encodeFrame,
  type ModelCard,
  packDistributions,
  proposeReplyFrame,
  proposeRequestSchema,
  readDistributionRows,
  type ScoreReply,
  type ScoreRequest,
  ServiceError,
  scoreReplyFrame,
  scoreRequestSchema,
  TokenPrefix,
  type WireSampling,
} from '@forerunner/protocol';
import { CoupledNoise, drawCoupled, logprobOf, seededVerdict, topLogprobs } from '@forerunner/sampling';
import { createApp, createLogger, createRegistry, installFrameParser, type ServiceApp } from '@forerunner/service-kit';
import { testCard } from '@forerunner/testkit';

export interface Script {
  /** What is recited after the prompt, then end-of-sequence for ever. */
  readonly tokenIds: readonly number[];
  readonly eosTokenId: number;
  readonly vocabSize: number;
  readonly fingerprint: string;
}

export interface ScriptedService {
  readonly app: ServiceApp;
  readonly url: string;
  readonly sequences: ReadonlyMap<string, TokenPrefix>;
  /** Cache scopes that requests named. */
  readonly scopes: Set<string>;
  /** What it serves now; another value is another model. */
  modelDigest: string;
  /** Kinds of rows that score requests asked for. */
  readonly rowKinds: Set<string>;
  numCalls: number;
  /** Tokens of a sequence's first call that it says a cached prefix spared. */
  numReusedTokens: number;
  /** Told of each text that begins: the tokens of its first call. */
  onNewText: (tokenIds: Int32Array) => void;
  /** Told of each score: `length` is that of the text after it. */
  onScore: (call: { readonly sampling: WireSampling; readonly numRows: number; readonly length: number }) => void;
  /** Called before each score or propose; may wait, or throw. */
  before: (callNumber: number) => Promise<void> | void;
}

interface SequenceRequest {
  readonly sequence_id: string;
  readonly position: number;
  readonly token_ids: Int32Array;
  readonly cache_scope: string;
}

const kinds = { draft: 'draft-service', target: 'target-service' } as const;

/** `isWrong` tells at which place of the script a draft guesses another token. */
export async function startScripted(
  kind: 'draft' | 'target',
  script: Script,
  isWrong: (place: number) => boolean = () => false,
): Promise<ScriptedService> {
  const app = createApp({
    logger: createLogger('scripted', 'silent'),
    registry: createRegistry('scripted'),
    readiness: () => ({ ready: true }),
    bodyLimitBytes: 1 << 24,
  });
  installFrameParser(app);
  const sequences = new Map<string, TokenPrefix>();
  const service = {
    app,
    url: '',
    sequences,
    scopes: new Set<string>(),
    rowKinds: new Set<string>(),
    modelDigest: 'd'.repeat(64),
    numCalls: 0,
    numReusedTokens: 0,
    onNewText: () => {},
    onScore: () => {},
    before: () => {},
  } as {
    -readonly [K in keyof ScriptedService]: ScriptedService[K];
  };

  const nextToken = (length: number, sampling: WireSampling): number => {
    const place = length - sampling.output_start;
    const tokenId = script.tokenIds[place] ?? script.eosTokenId;
    return kind === 'draft' && isWrong(place) ? (tokenId + 1) % script.vocabSize : tokenId;
  };
  const distributionOf = (tokenId: number, temperature: number) => {
    if (temperature === 0) return { tokenIds: Int32Array.of(tokenId), probs: Float32Array.of(1) };
    const probs = new Float32Array(script.vocabSize).fill((0.01 / (script.vocabSize - 1)) ** (1 / temperature));
    probs[tokenId] = 0.99 ** (1 / temperature);
    return { tokenIds: null, probs };
  };
  /** What the target says of the rows whose likeliest tokens are `next`. */
  const answerTo = (body: ScoreRequest, text: TokenPrefix, next: readonly number[]): Partial<ScoreReply> => {
    if (body.rows === 'logits') {
      const logits = new Float32Array(next.length * script.vocabSize);
      for (const [i, id] of next.entries()) logits[i * script.vocabSize + id] = 12;
      return { logits };
    }
    const first = text.length - next.length + 1;
    const draftTokenIds = text.ids(first).slice();
    const distributions = next.map((id) => distributionOf(id, body.sampling.temperature));
    if (body.rows === 'verdict') {
      const drafts = body.prob_offsets ? readDistributionRows(body, script.vocabSize) : null;
      const verdict = seededVerdict(body.verification!, {
        seed: body.seed,
        position: first,
        draftTokenIds,
        draftDistributions: drafts ? Array.from(draftTokenIds, (_, i) => distributionAt(drafts, i)) : [],
        targetDistribution: (i) => distributions[i]!,
      });
      const last = verdict.bonusTokenId ?? verdict.recoveredTokenId;
      const emitted = [...draftTokenIds.slice(0, verdict.numAcceptedTokens), last];
      return {
        num_accepted_tokens: verdict.numAcceptedTokens,
        next_token_id: last,
        ...logprobsOf(next, emitted, body.num_top_logprobs),
      };
    }
    const isGreedy = body.rows === 'argmax';
    const tokenIds = distributions.map((one, i) =>
      isGreedy ? next[i]! : drawCoupled(one, new CoupledNoise(body.seed, first + i)),
    );
    return {
      [isGreedy ? 'argmaxTokenIds' : 'sampledTokenIds']: Int32Array.from(tokenIds),
      ...logprobsOf(next, tokenIds, body.num_top_logprobs),
    };
  };
  const logprobsOf = (next: readonly number[], tokenIds: readonly number[], numTop: number | undefined) => {
    if (numTop === undefined) return {};
    const rows = tokenIds.map((_, i) => new Float32Array(script.vocabSize).fill(12, next[i], next[i]! + 1));
    const top = rows.flatMap((row) => topLogprobs(row, numTop));
    return {
      logprobs: {
        logprobs: Float32Array.from(tokenIds, (id, i) => logprobOf(rows[i]!, id)),
        topTokenIds: Int32Array.from(top, ({ tokenId }) => tokenId),
        topLogprobs: Float32Array.from(top, ({ logprob }) => logprob),
      },
    };
  };
  const append = (request: SequenceRequest): TokenPrefix => {
    service.scopes.add(request.cache_scope);
    const text = sequences.get(request.sequence_id) ?? new TokenPrefix();
    if (request.position > text.length) {
      throw new ServiceError('sequence_mismatch', 'not held', { cached_length: text.length });
    }
    if (request.position === 0) service.onNewText(request.token_ids);
    text.truncate(request.position);
    text.append(request.token_ids);
    sequences.set(request.sequence_id, text);
    return text;
  };
  const headerOf = ({ sequence_id, position }: SequenceRequest, text: TokenPrefix) => ({
    sequence_id,
    cached_length: text.length,
    vocab_size: script.vocabSize,
    num_reused_tokens: position === 0 ? service.numReusedTokens : 0,
    timing: { queue_ms: 0, model_ms: 0, total_ms: 0 },
  });

  app.get('/v1/model', async () => ({ ...cardOf(kinds[kind], script), model_digest: service.modelDigest }));
  app.delete('/v1/sequences/:id', async (request) => {
    sequences.delete((request.params as { id: string }).id);
    return {};
  });
  app.post('/v1/score', { schema: { body: scoreRequestSchema } }, async ({ body }) => {
    if ((body.model_digest ?? service.modelDigest) !== service.modelDigest)
      throw new ServiceError('model_mismatch', `this is ${service.modelDigest.slice(0, 12)}`);
    await service.before(service.numCalls++);
    service.rowKinds.add(body.rows);
    const text = append(body);
    const numRows = body.num_rows ?? body.token_ids.length;
    service.onScore({ sampling: body.sampling, numRows, length: text.length });
    const next = Array.from({ length: numRows }, (_, i) => nextToken(text.length - numRows + 1 + i, body.sampling));
    return encodeFrame(
      scoreReplyFrame({
        ...headerOf(body, text),
        ...answerTo(body, text, next),
      }),
    );
  });
  app.post('/v1/propose', { schema: { body: proposeRequestSchema } }, async ({ body }) => {
    await service.before(service.numCalls++);
    const text = append(body);
    const k = body.num_speculative_tokens;
    const draftTokenIds = Int32Array.from({ length: k }, (_, i) => nextToken(text.length + i, body.sampling));
    text.append(draftTokenIds.subarray(0, Math.max(0, k - 1)));
    const isGreedy = body.sampling.temperature === 0;
    return encodeFrame(
      proposeReplyFrame({
        ...headerOf(body, text),
        draftTokenIds,
        ...(!isGreedy &&
          !body.coupled && {
            distributions: packDistributions(
              Array.from(draftTokenIds, (id) => distributionOf(id, body.sampling.temperature)),
            ),
          }),
      }),
    );
  });
  service.url = await app.listen({ host: '127.0.0.1', port: 0 });
  return service;
}

const cardOf = (service: ModelCard['service'], script: Script): ModelCard =>
  testCard(service, {
    model_id: `scripted-${service === 'target-service' ? 'target' : 'draft'}`,
    vocab_size: script.vocabSize,
    tokenizer_fingerprint: script.fingerprint,
    eos_token_ids: [script.eosTokenId],
    context_length: 512,
  });
