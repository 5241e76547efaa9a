/** The only place that assembles the coordinator: what exists, and what is given to what. */
import { createApp, type Logger, PeerClient, type PeerClientOptions, type ServiceApp } from '@forerunner/service-kit';
import { Tokenizer, tokenizerFingerprint } from '@forerunner/tokenizer';
import type { Registry } from 'prom-client';
import { Admission } from './admission.ts';
import type { CoordinatorConfig } from './config.ts';
import { Generator } from './generation/generator.ts';
import { createMetrics, createTrafficCounter } from './metrics.ts';
import { DraftPeer } from './peers/draft-peer.ts';
import { PeerMonitor } from './peers/peer-monitor.ts';
import { TargetReplicas } from './peers/target-replicas.ts';
import { registerGenerateRoute } from './routes/generate.ts';

export interface Coordinator {
  readonly app: ServiceApp;
  readonly monitor: PeerMonitor;
  readonly close: () => Promise<void>;
}

/** `modelDir` holds the target's tokenizer files. */
export function buildCoordinator(
  config: CoordinatorConfig,
  modelDir: string,
  logger: Logger,
  registry: Registry,
): Coordinator {
  const traffic = createTrafficCounter(registry);
  const peerOptions = (peer: string): PeerClientOptions => ({
    connections: Math.max(4, 2 * config.MAX_CONCURRENT_REQUESTS),
    token: config.SERVICE_TOKEN,
    onTraffic: (sentBytes, receivedBytes) => {
      traffic.inc({ peer, direction: 'sent' }, sentBytes);
      traffic.inc({ peer, direction: 'received' }, receivedBytes);
    },
  });
  const targets = new TargetReplicas(
    config.TARGET_ENDPOINT.map((url) => new PeerClient('target-service', url, peerOptions('target'))),
  );
  const draft = new DraftPeer({
    client: new PeerClient('draft-service', config.DRAFT_ENDPOINT, peerOptions('draft')),
    timeoutMs: config.DRAFT_TIMEOUT_MS,
    prefillTimeoutMs: config.TARGET_TIMEOUT_MS,
    logger,
  });
  const monitor = new PeerMonitor({
    targets,
    draft,
    tokenizerFingerprint: tokenizerFingerprint(modelDir),
    intervalMs: config.PEER_CHECK_INTERVAL_MS,
    logger,
  });
  const admission = new Admission({
    maxRunning: config.MAX_CONCURRENT_REQUESTS,
    maxWaiting: config.MAX_WAITING_REQUESTS,
  });
  const metrics = createMetrics(registry, { admission, draft });
  const tokenizer = Tokenizer.load(modelDir);
  const generator = new Generator({ config, tokenizer, admission, metrics, monitor, targets, draft });

  const app = createApp({
    logger,
    registry,
    readiness: () => monitor.readiness,
    bodyLimitBytes: config.MAX_BODY_BYTES,
  });
  registerGenerateRoute(app, { generator, maxDraftTokens: config.MAX_DRAFT_TOKENS, cacheScopeOf: () => '' });
  app.get('/v1/model', async () => ({ target: generator.requireTarget(), draft: draft.card }));

  return {
    app,
    monitor,
    close: async () => {
      monitor.stop();
      await generator.settled();
      await Promise.all([...targets.clients.map((client) => client.close()), draft.client.close()]);
    },
  };
}
