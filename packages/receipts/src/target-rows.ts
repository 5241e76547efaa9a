/**
 * The target's rows for a whole text, from a target-service over HTTP: one sequence of its own, in a cache scope of its
 * own, so that nothing that was cached before is believed. Rows come in pieces of some megabytes.
 */
import { randomUUID } from 'node:crypto';
import {
  encodeFrame,
  FRAME_CONTENT_TYPE,
  type ModelCard,
  modelCardSchema,
  parseScoreReply,
  scoreRequestFrame,
  TokenPrefix,
} from '@forerunner/protocol';
import { ReplayError } from './replay-error.ts';

const MAX_CHUNK_BYTES = 1 << 24;
const TIMEOUT_MS = 600_000;

export interface TargetOptions {
  readonly url: string;
  /** SERVICE_TOKEN of the target-service, where it has one. */
  readonly token?: string | undefined;
}

export class ReplayTarget {
  readonly card: ModelCard;
  readonly #options: TargetOptions;

  private constructor(options: TargetOptions, card: ModelCard) {
    this.#options = options;
    this.card = card;
  }

  /** Errors: ReplayError target_unusable. */
  static async open(options: TargetOptions): Promise<ReplayTarget> {
    const reply = await call(options, '/v1/model', { method: 'GET' });
    const json = (await reply.json().catch(() => null)) as object | null;
    const parsed = modelCardSchema.safeParse(json);
    if (parsed.success && parsed.data.service === 'target-service') return new ReplayTarget(options, parsed.data);
    const what =
      json && 'target' in json ? 'is a coordinator, which gives no rows' : 'is no target-service of this version';
    throw new ReplayError(
      'target_unusable',
      `${options.url} ${what}: give the URL of a target-service (port 8002 of npm start)`,
    );
  }

  /**
   * Logits [vocabSize] of the token that follows each of `text[first..]`, in order; each array is valid until the next is
   * asked for. Errors: ReplayError target_unusable.
   */
  async *rows(text: Int32Array, first: number): AsyncGenerator<Float32Array> {
    const { vocab_size: vocabSize } = this.card;
    const sequenceId = `replay-${randomUUID()}`;
    const prefix = new TokenPrefix(text.length);
    const numPerCall = Math.max(1, Math.floor(MAX_CHUNK_BYTES / (4 * vocabSize)));
    try {
      for (let from = first; from < text.length; from += numPerCall) {
        const end = Math.min(from + numPerCall, text.length);
        const position = prefix.length;
        const logits = await this.#score(sequenceId, prefix, text.subarray(position, end), end - from);
        for (let i = 0; i < end - from; i++) yield logits.subarray(i * vocabSize, (i + 1) * vocabSize);
        prefix.append(text.subarray(position, end));
      }
    } finally {
      await call(this.#options, `/v1/sequences/${sequenceId}`, { method: 'DELETE' }).catch(() => {}); // its TTL frees it
    }
  }

  async #score(sequenceId: string, prefix: TokenPrefix, tokenIds: Int32Array, numRows: number): Promise<Float32Array> {
    const frame = scoreRequestFrame({
      sequence_id: sequenceId,
      position: prefix.length,
      prefix_digest: prefix.digestAt(prefix.length),
      cache_scope: sequenceId,
      model_digest: this.card.model_digest,
      token_ids: tokenIds,
      rows: 'logits',
      num_rows: numRows,
    });
    const body = new Uint8Array(encodeFrame(frame));
    const reply = await call(this.#options, '/v1/score', {
      method: 'POST',
      headers: { 'content-type': FRAME_CONTENT_TYPE },
      body,
    });
    const { logits } = parseScoreReply(new Uint8Array(await reply.arrayBuffer()));
    if (logits) return logits;
    throw new ReplayError('target_unusable', `${this.#options.url} scored without logits`);
  }
}

/** Errors: ReplayError target_unusable, with the service's own message. */
async function call({ url, token }: TargetOptions, path: string, init: RequestInit): Promise<Response> {
  const headers = { ...init.headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) };
  let reply: Response;
  try {
    reply = await fetch(`${url.replace(/\/$/, '')}${path}`, {
      ...init,
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    const { message, cause } = error as Error;
    const reason = cause instanceof Error ? cause.message || (cause as { code?: string }).code : message;
    throw new ReplayError('target_unusable', `${url} does not answer: ${reason}`, { cause: error });
  }
  if (reply.ok) return reply;
  const text = await reply.text();
  const said =
    (JSON.parse(text.startsWith('{') ? text : '{}') as { error?: { message?: string } }).error?.message ?? text;
  throw new ReplayError('target_unusable', `${url}${path} answers ${reply.status}: ${said.slice(0, 300)}`);
}
