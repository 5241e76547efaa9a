export * from './errors.ts';
export type * from './runner.ts';
export { type OpenRunnerOptions, openRunner } from './runners/open-runner.ts';
export type * from './signature.ts';
