/** Assembles the two pools: which replicas there are, how they are reached, and what does not fit. */
import { type Logger, PeerClient, type PeerClientOptions } from '@forerunner/service-kit';
import type { Registry } from 'prom-client';
import type { CoordinatorConfig } from './config.ts';
import { createTrafficCounter } from './metrics.ts';
import { type DraftClient, RemoteDraft } from './pair/draft-client.ts';
import { DraftPool } from './pair/draft-pool.ts';
import { findMismatch, refuseTarget } from './pair/fit.ts';
import { Endpoints, fixedMember, type Member } from './pair/pool/members.ts';
import { Pool, type PoolRole } from './pair/pool/pool.ts';
import { RemoteTarget, type TargetClient } from './pair/target-client.ts';
import { createPoolMetrics } from './pool-metrics.ts';

export interface PoolsDeps {
  readonly tokenizerFingerprint: string;
  readonly logger: Logger;
  readonly registry: Registry;
  /** In place of draft-services. */
  readonly embeddedDraft: DraftClient | null;
}

export interface Pools {
  readonly targets: Pool<TargetClient>;
  /** null: none is configured. */
  readonly drafts: DraftPool | null;
}

export function openPools(config: CoordinatorConfig, deps: PoolsDeps): Pools {
  const { logger, registry, tokenizerFingerprint, embeddedDraft } = deps;
  const traffic = createTrafficCounter(registry);
  const peer = (role: PoolRole, { url, address }: Member): PeerClient => {
    const options: PeerClientOptions = {
      connections: Math.max(4, 2 * config.MAX_CONCURRENT_REQUESTS),
      useChannels: true,
      address,
      token: config.SERVICE_TOKEN,
      onTraffic: (sentBytes, receivedBytes) => {
        traffic.inc({ peer: role, direction: 'sent' }, sentBytes);
        traffic.inc({ peer: role, direction: 'received' }, receivedBytes);
      },
    };
    return new PeerClient(`${role}-service`, url, options);
  };
  const events = createPoolMetrics(registry, (role) => (role === 'target' ? targets : draftPool)?.all ?? []);
  const targets = new Pool<TargetClient>({
    role: 'target',
    members: new Endpoints(config.TARGET_ENDPOINT),
    connect: (member) => new RemoteTarget(peer('target', member)),
    refuse: (card) => refuseTarget(card, tokenizerFingerprint),
    logger,
    events,
  });
  const { DRAFT_ENDPOINT: draftUrls, DRAFT_TIMEOUT_MS: timeoutMs } = config;
  const remote = Array.isArray(draftUrls) ? new Endpoints(draftUrls) : null;
  const members = embeddedDraft ? fixedMember(embeddedDraft.url) : remote;
  const draftPool =
    members &&
    new Pool<DraftClient>({
      role: 'draft',
      members,
      connect: (member) => embeddedDraft ?? new RemoteDraft(peer('draft', member)),
      refuse: (card) => ('card' in targets.served ? findMismatch(card, targets.served.card) : null),
      logger,
      events,
    });
  return { targets, drafts: draftPool && new DraftPool({ pool: draftPool, timeoutMs, logger }) };
}
