export * from './engine-errors.ts';
export * from './model.ts';
export * from './replies.ts';
export * from './routes.ts';
export * from './settings.ts';
export * from './start.ts';
