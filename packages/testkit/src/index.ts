export { freePort } from '@forerunner/service-kit/free-port';
export { ServiceProcess } from '@forerunner/service-kit/service-process';
export * from './chat-model.ts';
export * from './client.ts';
export * from './model-card.ts';
export * from './seeded-random.ts';
export * from './tiny-pair.ts';
export * from './trio.ts';
