export * from './chat-model.ts';
export * from './client.ts';
export * from './service-process.ts';
export * from './trio.ts';
