export * from './calls.ts';
export * from './engine-errors.ts';
export type { Model } from './model.ts';
export * from './routes.ts';
export * from './service.ts';
export * from './settings.ts';
export * from './start.ts';
