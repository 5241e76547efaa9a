/** The half of this package that runs beside the model. */

export * from './encoded-reply.ts';
export { type EngineMethods, engineService, type ModelFacts, type OpenEngine } from './engine-service.ts';
export * from './sampling-params.ts';
