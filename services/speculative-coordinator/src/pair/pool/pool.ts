/**
 * The replicas of one model: who they are now, which of them may be asked, and in which order. A text goes where others
 * that begin like it went, and stays there. Replicas come and go with the names of the endpoints; those that fail, stall
 * or lag are passed over while others serve. Drafts and targets are pools alike; which cards fit is told by the caller.
 */
import type { ModelCard } from '@forerunner/protocol';
import type { Logger } from '@forerunner/service-kit';
import { keepOneModel, type ServedModel } from './kept-model.ts';
import type { Member, MemberSource } from './members.ts';
import { findOutliers, type Outlier } from './outliers.ts';
import { Replica, type ReplicaClient } from './replica.ts';
import { rankReplicas } from './replica-order.ts';

export const POOL_ROLES = ['draft', 'target'] as const;
export type PoolRole = (typeof POOL_ROLES)[number];

/** Told of what happens in pools. */
export interface PoolEvents {
  ejected(role: PoolRole, reason: Outlier['reason']): void;
  /** An answer under way goes on at another replica. */
  moved(role: PoolRole): void;
}

export interface PoolOptions<C extends ReplicaClient> {
  readonly role: PoolRole;
  readonly members: MemberSource;
  readonly connect: (member: Member) => C;
  /** Why a model cannot serve here at all; null: it can. */
  readonly refuse: (card: ModelCard) => string | null;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly events: PoolEvents;
  readonly now?: () => number;
}

export interface Choice<C extends ReplicaClient> {
  /** Where the answer is; null: nowhere yet. */
  readonly current: Replica<C> | null;
  /** What its text begins with. */
  readonly key: () => string;
}

export class Pool<C extends ReplicaClient> {
  readonly #options: PoolOptions<C>;
  readonly #now: () => number;
  readonly #replicas = new Map<string, Replica<C>>();
  /** No members any more, but answers under way work on them. */
  readonly #leaving = new Set<Replica<C>>();
  #problem: string | null = null;
  #served: ServedModel;
  /** Of the last model that was served, also while none is. */
  #servedDigest: string | null = null;

  constructor(options: PoolOptions<C>) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#served = { reason: `no ${options.role}-service has answered yet`, isMisfit: false };
  }

  /** Its members, in the order of the endpoints. */
  get replicas(): readonly Replica<C>[] {
    return [...this.#replicas.values()];
  }

  /** Members, and those that are none any more but still work. */
  get all(): readonly Replica<C>[] {
    return [...this.#replicas.values(), ...this.#leaving];
  }

  /** The one model that it serves, or why there is none. */
  get served(): ServedModel {
    return this.#served;
  }

  /** Finds out who belongs to it and what each of them serves. Never fails. `decide` draws the conclusions. */
  async look(): Promise<void> {
    const { members } = this.#options;
    this.#update(await members.look());
    this.#noteProblem(members.problem);
    await Promise.all(this.all.map((replica) => replica.refreshCard()));
    // Where nobody answers, the network is to blame, or this process: who waits may as well go on waiting.
    if (this.replicas.some(({ isSilent, card }) => !isSilent && !(card instanceof Error))) {
      for (const replica of this.all) if (replica.isSilent) replica.giveUpCalls();
    }
    this.#ejectOutliers();
  }

  /** Decides which model is served, and who is left out because of it. */
  decide(): void {
    const { role, refuse, logger } = this.#options;
    const { replicas } = this;
    const { served, refusals } = keepOneModel(role, replicas, { refuse, servedDigest: this.#servedDigest });
    this.#served = replicas.length === 0 && this.#problem ? { reason: this.#problem, isMisfit: false } : served;
    if ('card' in served) this.#servedDigest = served.card.model_digest;
    for (const [i, replica] of replicas.entries()) {
      const reason = refusals[i]!;
      if (reason !== null && reason !== replica.refusal) {
        logger.error({ role, replica: replica.name, reason }, 'a replica is refused');
      }
      replica.setRefusal(reason);
    }
  }

  /** A replica said that it has another model than its card told. */
  async refreshCard(replica: Replica<C>): Promise<void> {
    await replica.refreshCard();
    this.decide();
  }

  /**
   * The replicas that may serve a model, in the order to try them: where the answer is; those that serve, as the text's
   * beginning ranks them; those that are passed over, or never showed a card (a request names its model, so another one
   * refuses). Silent ones only where there are no others. Ranked only when the first is not enough.
   */
  *candidates(modelDigest: string, { current, key }: Choice<C>): Generator<Replica<C>> {
    const mayServe = ({ card }: Replica<C>) => card instanceof Error || card.model_digest === modelDigest;
    const mayStay = current !== null && mayServe(current) && !current.isSilent;
    if (mayStay) yield current;
    const others = this.replicas.filter((replica) => replica !== current && mayServe(replica));
    const heard = others.filter(({ isSilent }) => !isSilent);
    const [out, serving] = [heard.filter(({ isOut }) => isOut), heard.filter(({ isOut }) => !isOut)];
    const silent = mayStay || heard.length > 0 ? [] : this.replicas.filter(mayServe);
    const name = key();
    for (const group of [serving, out, silent]) for (const index of rankReplicas(name, group)) yield group[index]!;
  }

  /** An answer works on a replica from now on, and no longer on the one where it was. */
  move(from: Replica<C> | null, to: Replica<C>): void {
    to.enter();
    if (from === null) return;
    this.leave(from);
    this.#options.events.moved(this.#options.role);
  }

  /** An answer works on a replica no more. */
  leave(replica: Replica<C>): void {
    replica.leave();
    this.#closeLeft();
  }

  /** What an attempt that failed says about a replica. */
  report(replica: Replica<C>, error: unknown): void {
    if (!replica.report(error)) return;
    const { role, logger } = this.#options;
    logger.warn({ role, replica: replica.name, reason: (error as Error).message }, 'a replica fails');
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map(({ client }) => client.close()));
    this.#replicas.clear();
    this.#leaving.clear();
  }

  #update(members: readonly Member[]): void {
    const { connect, logger, role } = this.#options;
    const names = new Set(members.map(({ name }) => name));
    for (const [name, replica] of this.#replicas) {
      if (names.has(name)) continue;
      this.#replicas.delete(name);
      this.#leaving.add(replica);
      replica.isLeaving = true;
      logger.info({ role, replica: name, answers: replica.numRunning }, 'a replica left the pool');
    }
    for (const member of members) {
      if (this.#replicas.has(member.name)) continue;
      this.#replicas.set(member.name, this.#takeBack(member) ?? new Replica(member.name, connect(member), this.#now));
      logger.info({ role, replica: member.name }, 'a replica joined the pool');
    }
    this.#closeLeft();
  }

  /** One that left, and still works; null: there is none. */
  #takeBack({ name }: Member): Replica<C> | null {
    const replica = [...this.#leaving].find((one) => one.name === name);
    if (!replica) return null;
    this.#leaving.delete(replica);
    replica.isLeaving = false;
    return replica;
  }

  #noteProblem(problem: string | null): void {
    const { role, logger } = this.#options;
    if (problem !== null && problem !== this.#problem) {
      logger.warn({ role, reason: problem }, 'an endpoint cannot be resolved: it keeps the replicas that it had');
    }
    this.#problem = problem;
  }

  #closeLeft(): void {
    for (const replica of this.#leaving) {
      if (replica.numRunning > 0) continue;
      this.#leaving.delete(replica);
      void replica.client.close();
    }
  }

  #ejectOutliers(): void {
    const { role, logger, events } = this.#options;
    const members = this.replicas.filter(({ refusal }) => refusal === null);
    for (const { index, reason } of findOutliers(members.map(({ record }) => record))) {
      const replica = members[index]!;
      const forMs = replica.eject();
      events.ejected(role, reason);
      logger.warn({ role, replica: replica.name, reason, for_ms: forMs }, 'a replica is ejected');
    }
  }
}
