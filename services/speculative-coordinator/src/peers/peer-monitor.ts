/**
 * Keeps the model cards of both sides fresh: whether there is a target, and whether the draft that answers fits it.
 * A misfit at start refuses the start; a misfit later (somebody replaced the draft) turns drafting off and says so.
 */
import { type ModelCard, modelCardSchema, PROTOCOL_VERSION } from '@forerunner/protocol';
import type { Logger, Peer, Readiness } from '@forerunner/service-kit';
import type { DraftPeer } from './draft-peer.ts';
import { findMismatch, findWarning } from './pairing.ts';
import type { TargetReplicas } from './target-replicas.ts';

export interface PeerMonitorOptions {
  readonly targets: TargetReplicas;
  readonly draft: DraftPeer;
  /** Fingerprint of the tokenizer that the coordinator itself uses. */
  readonly tokenizerFingerprint: string;
  readonly intervalMs: number;
  readonly logger: Logger;
}

export class PeerMonitor {
  readonly #options: PeerMonitorOptions;
  #target: ModelCard | null = null;
  #targetProblem = 'the target-service has not answered yet';
  #mismatch: string | null = null;
  #isDraftAway = false;
  #warning: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: PeerMonitorOptions) {
    this.#options = options;
  }

  /** The target's card; null while no replica has answered. */
  get target(): ModelCard | null {
    return this.#target;
  }

  /** Why the draft that answers does not fit; null when it does, or when none answers. */
  get mismatch(): string | null {
    return this.#mismatch;
  }

  get readiness(): Readiness {
    return this.#targetProblem === '' ? { ready: true } : { ready: false, reason: this.#targetProblem };
  }

  /** Looks once, then again and again. */
  async start(): Promise<void> {
    await this.check();
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.start(), this.#options.intervalMs).unref();
  }

  stop(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
  }

  async check(): Promise<void> {
    const { targets, draft } = this.#options;
    const [targetCards, draftCard] = await Promise.all([
      Promise.all(targets.clients.map((client) => this.#fetchCard(client))),
      this.#fetchCard(draft.client),
    ]);
    this.#noteTargets(targetCards);
    this.#noteDraft(draftCard);
  }

  #noteTargets(cards: readonly (ModelCard | Error)[]): void {
    const good = cards.filter((card): card is ModelCard => !(card instanceof Error));
    const [first] = good;
    if (!first) {
      this.#targetProblem = (cards[0] as Error).message;
      return;
    }
    // With either of the first two misfits an answer would be nonsense or none at all.
    const foreign = good.find((card) => card.protocol_version !== PROTOCOL_VERSION);
    if (foreign) {
      this.#target = null;
      this.#targetProblem =
        `target "${foreign.model_id}" speaks protocol version ${foreign.protocol_version}, ` +
        `the coordinator ${PROTOCOL_VERSION}`;
      return;
    }
    const own = this.#options.tokenizerFingerprint;
    if (first.tokenizer_fingerprint !== own) {
      this.#target = null;
      this.#targetProblem =
        `the coordinator's tokenizer (${own.slice(0, 12)}) is not that of target "${first.model_id}" ` +
        `(${first.tokenizer_fingerprint.slice(0, 12)}): give it the target's MODEL_SIZE or MODEL_DIR`;
      return;
    }
    const odd = good.find((card) => card.model_digest !== first.model_digest);
    if (odd) {
      this.#targetProblem = `target replicas serve different models: "${first.model_id}" and "${odd.model_id}"`;
      return;
    }
    this.#target = first;
    this.#targetProblem = '';
  }

  #noteDraft(card: ModelCard | Error): void {
    const { draft, logger } = this.#options;
    // A draft that is briefly away keeps its card: the breaker deals with that.
    const wasAway = this.#isDraftAway;
    this.#isDraftAway = card instanceof Error;
    if (card instanceof Error || !this.#target) return;
    if (wasAway) draft.noteReturn();
    const mismatch = findMismatch(card, this.#target);
    if (mismatch && mismatch !== this.#mismatch) logger.error({ reason: mismatch }, 'drafting is off');
    this.#mismatch = mismatch;
    const warning = mismatch ? null : findWarning(card, this.#target);
    if (warning && warning !== this.#warning) logger.warn({ reason: warning }, 'drafting may pay less');
    this.#warning = warning;
    draft.setCard(mismatch ? null : card);
  }

  async #fetchCard(client: Peer): Promise<ModelCard | Error> {
    try {
      const reply = await client.getJson('/v1/model', { requestId: 'peer-monitor', timeoutMs: 2000 });
      return modelCardSchema.parse(reply);
    } catch (error) {
      return error as Error;
    }
  }
}
