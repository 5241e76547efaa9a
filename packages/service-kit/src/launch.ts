/** What must be decided about a service's process before Node runs. The Dockerfiles say the same; a test compares. */

export type ServiceName = 'draft-service' | 'target-service' | 'speculative-coordinator';

export interface Launch {
  readonly flags: readonly string[];
  /** Defaults; see launchEnv. */
  readonly env: Readonly<Record<string, string>>;
}

/** Environment of a service's process where `outer` is that of who starts it. Nothing turns telemetry on. */
export function launchEnv(service: ServiceName, outer: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const env = outer.DRAFT_ENDPOINT === 'embedded' ? MODEL_ENV : LAUNCH[service].env; // it runs a model, too
  return { ...env, ...outer, ORT_DISABLE_TELEMETRY: '1' };
}

/** Rows of probabilities pass as garbage: docs/decisions/0007-room-for-rows.md. */
const ROOM_FOR_ROWS = '--initial-old-space-size=256';

const MODEL_ENV = {
  ORT_DISABLE_TELEMETRY: '1',
  /** Each run of a model holds one of libuv's threads. */
  UV_THREADPOOL_SIZE: '8',
  /** Weights in huge pages, where glibc and the kernel have them: docs/decisions/0016-weights-in-huge-pages.md. */
  GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1',
};

export const LAUNCH: Readonly<Record<ServiceName, Launch>> = {
  'draft-service': { flags: [], env: MODEL_ENV },
  'target-service': { flags: [ROOM_FOR_ROWS], env: MODEL_ENV },
  'speculative-coordinator': { flags: [ROOM_FOR_ROWS], env: {} },
};
