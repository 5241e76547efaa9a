/** The half of this package that runs in the worker, beside the model. */

export * from './encoded-reply.ts';
export { type EngineMethods, engineService, type ModelFacts } from './engine-service.ts';
export * from './sampling-params.ts';
