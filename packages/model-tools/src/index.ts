export { ModelToolError, type ModelToolErrorCode } from './errors.ts';
export { newRowsOnly } from './rewrites/new-rows-only.ts';
