/** The three services as processes on free ports, wired to each other. */

import { freePort } from '@forerunner/service-kit/free-port';
import { ServiceProcess } from '@forerunner/service-kit/service-process';

export interface TrioOptions {
  /** Catalogue names. */
  readonly target: string;
  readonly draft: string;
  /** The draft runs within the coordinator's process; `draft` is never started. */
  readonly embedsDraft?: boolean;
  readonly env?: Record<string, string>;
  readonly draftEnv?: Record<string, string>;
  readonly targetEnv?: Record<string, string>;
  readonly coordinatorEnv?: Record<string, string>;
}

export interface Trio {
  readonly draft: ServiceProcess;
  readonly target: ServiceProcess;
  readonly coordinator: ServiceProcess;
  /** Those that run, the coordinator first. */
  readonly services: readonly ServiceProcess[];
  /** Ends all of them. */
  stop(): Promise<void>;
}

export async function startTrio(options: TrioOptions): Promise<Trio> {
  const env = { LOG_LEVEL: 'info', ...options.env };
  const [draftPort, targetPort, coordinatorPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const draft = new ServiceProcess('draft-service', draftPort, {
    ...env,
    MODEL_SIZE: options.draft,
    ...options.draftEnv,
  });
  const target = new ServiceProcess('target-service', targetPort, {
    ...env,
    MODEL_SIZE: options.target,
    ...options.targetEnv,
  });
  const coordinator = new ServiceProcess('speculative-coordinator', coordinatorPort, {
    ...env,
    MODEL_SIZE: options.target,
    ...(options.embedsDraft ? embedded(options) : { DRAFT_ENDPOINT: draft.url }),
    TARGET_ENDPOINT: target.url,
    PEER_CHECK_INTERVAL_MS: '200',
    ...options.coordinatorEnv,
  });
  const stop = async () => {
    await coordinator.end();
    await Promise.all([draft.end(), target.end()]);
  };
  try {
    await Promise.all([target.start(), ...(options.embedsDraft ? [] : [draft.start()])]);
    await coordinator.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { draft, target, coordinator, services: [coordinator, target, ...(options.embedsDraft ? [] : [draft])], stop };
}

/** The draft's settings as the coordinator takes them. */
function embedded({ draft, draftEnv = {} }: TrioOptions): Record<string, string> {
  const own = Object.entries(draftEnv).map(([name, value]) => [`DRAFT_${name}`, value]);
  return { DRAFT_ENDPOINT: 'embedded', DRAFT_MODEL_SIZE: draft, ...Object.fromEntries(own) };
}
