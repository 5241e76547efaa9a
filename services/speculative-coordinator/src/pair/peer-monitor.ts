/**
 * Keeps the model cards of both sides fresh: whether the targets that answer are one model that the coordinator can
 * serve, and whether the draft that answers fits it. A misfit of the draft at start refuses the start; later (somebody
 * replaced it) it turns drafting off and says so. Targets that do not fit make the service not ready until they do.
 */
import type { ModelCard } from '@forerunner/protocol';
import type { Logger, Readiness } from '@forerunner/service-kit';
import type { DraftPeer } from './draft-peer.ts';
import { findMismatch, findWarning, type ServedModel, servedModel } from './fit.ts';
import type { TargetReplicas } from './target-replicas.ts';

export interface PeerMonitorOptions {
  readonly targets: TargetReplicas;
  /** null: none is configured. */
  readonly draft: DraftPeer | null;
  /** Fingerprint of the tokenizer that the coordinator itself uses. */
  readonly tokenizerFingerprint: string;
  readonly intervalMs: number;
  readonly logger: Logger;
}

export class PeerMonitor {
  readonly #options: PeerMonitorOptions;
  #mismatch: string | null = null;
  #isDraftAway = false;
  #warning: string | null = null;
  #targetProblem: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: PeerMonitorOptions) {
    this.#options = options;
  }

  /** The target's card, or why there is no target: every replica that answers must have the one model. */
  get served(): ServedModel {
    return servedModel(this.#options.targets.cards, this.#options.tokenizerFingerprint);
  }

  /** Why the draft that answers does not fit; null when it does, or when none answers. */
  get mismatch(): string | null {
    return this.#mismatch;
  }

  get readiness(): Readiness {
    const { served } = this;
    return 'card' in served ? { ready: true } : { ready: false, reason: served.reason };
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
    const [draftCard] = await Promise.all([draft?.client.card(), targets.refresh()]);
    this.#noteTargets();
    if (draft && draftCard) this.#noteDraft(draft, draftCard);
  }

  #noteTargets(): void {
    const { served } = this;
    const problem = 'reason' in served ? served.reason : null;
    if (problem && problem !== this.#targetProblem) this.#options.logger.warn({ reason: problem }, 'not ready');
    this.#targetProblem = problem;
  }

  #noteDraft(draft: DraftPeer, card: ModelCard | Error): void {
    const { logger } = this.#options;
    // A draft that is briefly away keeps its card: the breaker deals with that.
    const wasAway = this.#isDraftAway;
    this.#isDraftAway = card instanceof Error;
    if (card instanceof Error) return;
    if (wasAway) draft.noteReturn();
    const { served } = this;
    if ('reason' in served) return;
    const target = served.card;
    const mismatch = findMismatch(card, target);
    if (mismatch && mismatch !== this.#mismatch) logger.error({ reason: mismatch }, 'drafting is off');
    this.#mismatch = mismatch;
    const warning = mismatch ? null : findWarning(card, target);
    if (warning && warning !== this.#warning) logger.warn({ reason: warning }, 'drafting may pay less');
    this.#warning = warning;
    draft.setCard(mismatch ? null : card);
  }
}
