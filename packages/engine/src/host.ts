/** The engine as seen from whoever has not loaded the model runtime: hosts, errors, digests. */
export { EngineError, type EngineErrorCode } from './errors.ts';
export { type Fallback, warnOf } from './fallback.ts';
export type { EngineLog } from './log.ts';
export { modelDigest } from './model-digest.ts';
export type { CallHost } from './rpc/call-host.ts';
export { LocalHost } from './rpc/local-host.ts';
export { WorkerHost, type WorkerHostOptions } from './rpc/worker-host.ts';
