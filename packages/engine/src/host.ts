/** The engine as seen from a thread that must not load the model runtime: the worker's host, errors, digests. */
export * from './errors.ts';
export { modelDigest } from './model-digest.ts';
export { WorkerHost, type WorkerHostOptions } from './rpc/worker-host.ts';
