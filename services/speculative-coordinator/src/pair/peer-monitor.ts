/**
 * Keeps both pools fresh: who belongs to them, whether the targets that answer are one model that the coordinator can
 * serve, and whether the drafts that answer fit it. Drafts that do not fit at start refuse the start; later (somebody
 * replaced them) they are left out, and drafting is off when none is left. Without a target that fits the service is not
 * ready.
 */
import type { Logger, Readiness } from '@forerunner/service-kit';
import type { DraftPool } from './draft-pool.ts';
import { findWarning } from './fit.ts';
import type { ServedModel } from './pool/kept-model.ts';
import type { Pool } from './pool/pool.ts';
import type { TargetClient } from './target-client.ts';

export interface PeerMonitorOptions {
  readonly targets: Pool<TargetClient>;
  /** null: none is configured. */
  readonly drafts: DraftPool | null;
  readonly intervalMs: number;
  readonly logger: Pick<Logger, 'warn'>;
}

export class PeerMonitor {
  readonly #options: PeerMonitorOptions;
  #warning: string | null = null;
  #targetProblem: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: PeerMonitorOptions) {
    this.#options = options;
  }

  /** The target's card, or why there is no target. */
  get served(): ServedModel {
    return this.#options.targets.served;
  }

  /** Why no draft that answers may be used; null when one may, or when none answers. */
  get mismatch(): string | null {
    const served = this.#options.drafts?.pool.served;
    return served && 'reason' in served && served.isMisfit ? served.reason : null;
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
    const { targets, drafts } = this.#options;
    await Promise.all([targets.look(), drafts?.pool.look()]);
    targets.decide();
    this.#noteTargets();
    drafts?.pool.decide();
    drafts?.noteServed();
    this.#noteWarning();
  }

  #noteTargets(): void {
    const { served } = this;
    const problem = 'reason' in served ? served.reason : null;
    if (problem && problem !== this.#targetProblem) this.#options.logger.warn({ reason: problem }, 'not ready');
    this.#targetProblem = problem;
  }

  #noteWarning(): void {
    const draft = this.#options.drafts?.card;
    const { served } = this;
    const warning = draft && 'card' in served ? findWarning(draft, served.card) : null;
    if (warning && warning !== this.#warning) this.#options.logger.warn({ reason: warning }, 'drafting may pay less');
    this.#warning = warning;
  }
}
