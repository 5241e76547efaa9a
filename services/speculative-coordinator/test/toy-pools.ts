/** Pools over toy peers: members that a test changes, a clock that it moves, and what happened. */
import { type Logger, PeerError } from '@forerunner/service-kit';
import { vi } from 'vitest';
import { type DraftClient, RemoteDraft } from '../src/pair/draft-client.ts';
import { DraftPool } from '../src/pair/draft-pool.ts';
import { findMismatch, refuseTarget } from '../src/pair/fit.ts';
import { PeerMonitor } from '../src/pair/peer-monitor.ts';
import type { Member } from '../src/pair/pool/members.ts';
import { Pool, type PoolRole } from '../src/pair/pool/pool.ts';
import type { ReplicaClient } from '../src/pair/pool/replica.ts';
import { RemoteTarget, type TargetClient } from '../src/pair/target-client.ts';
import { ToyPeer, toyCard, toyModel } from './toy-peers.ts';

export interface ToyMembers {
  peers: readonly ToyPeer[];
  problem: string | null;
}

export class ToyPools {
  readonly clock = { now: 0 };
  readonly logger = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  readonly events = { ejected: vi.fn(), moved: vi.fn() };
  readonly members: Record<PoolRole, ToyMembers>;
  readonly targets: Pool<TargetClient>;
  readonly drafts;
  readonly monitor;

  readonly #now: () => number;

  /** `now`: default: a clock that stands still unless a test moves it. */
  constructor(targets: readonly ToyPeer[], drafts: readonly ToyPeer[] = [], now?: () => number) {
    this.#now = now ?? (() => this.clock.now);
    this.members = { target: { peers: targets, problem: null }, draft: { peers: drafts, problem: null } };
    const { tokenizer_fingerprint: fingerprint } = toyCard('target-service');
    this.targets = this.#open<TargetClient>(
      'target',
      (peer) => new RemoteTarget(peer),
      (card) => refuseTarget(card, fingerprint),
    );
    const refuseDraft = (card: ReturnType<typeof toyCard>) => {
      const { served } = this.targets;
      return 'card' in served ? findMismatch(card, served.card) : null;
    };
    const pool = this.#open<DraftClient>('draft', (peer) => new RemoteDraft(peer), refuseDraft);
    this.drafts = new DraftPool({ pool, timeoutMs: 100, logger: this.logger as unknown as Logger });
    this.monitor = new PeerMonitor({
      targets: this.targets,
      drafts: this.drafts,
      intervalMs: 1000,
      logger: this.logger as unknown as Logger,
    });
  }

  /** Time passes, then all are looked at. */
  async check(afterMs = 0): Promise<void> {
    this.clock.now += afterMs;
    await this.monitor.check();
  }

  #open<C extends ReplicaClient>(
    role: PoolRole,
    connect: (peer: ToyPeer) => C,
    refuse: (card: ReturnType<typeof toyCard>) => string | null,
  ): Pool<C> {
    const members = this.members[role];
    return new Pool<C>({
      role,
      members: {
        look: async () => members.peers.map(({ url }) => ({ name: url, url })),
        get problem() {
          return members.problem;
        },
      },
      connect: ({ url }: Member) => connect(members.peers.find((peer) => peer.url === url)!),
      refuse,
      logger: this.logger as unknown as Logger,
      events: this.events,
      now: this.#now,
    });
  }
}

/** As many peers of one kind, each at an address of its own. */
export const toyPeers = (service: ToyPeer['name'], count: number, model = toyModel(1, 3)): ToyPeer[] =>
  Array.from({ length: count }, (_, i) => new ToyPeer(service, model, `toy://${service}-${i}`));

/** From now on it shows no card. */
export function hideCard(peer: ToyPeer): void {
  peer.getJson = async () => {
    throw new PeerError('unreachable', 'ECONNREFUSED');
  };
}

/** It shows its card again. */
export function showCard(peer: ToyPeer): void {
  peer.getJson = ToyPeer.prototype.getJson;
}
