export * from './calls.ts';
export type { ReplyOptions } from './encoded-reply.ts';
export * from './engine-errors.ts';
export * from './engine-metrics.ts';
export { type Model, type ModelHost, modelCard, startModel } from './model.ts';
export * from './routes.ts';
export * from './service.ts';
export * from './settings.ts';
export * from './start.ts';
