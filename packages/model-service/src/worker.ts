/** The main module of the thread that an engine may have for itself. */
import { workerData } from 'node:worker_threads';
import { answerCalls } from '@forerunner/engine';
import type { EngineSettings, OpenEngine } from './engine-service.ts';

export interface EngineWorkerData {
  /** Address of the service's engine module. */
  readonly module: string;
  readonly settings: EngineSettings;
}

const { module, settings } = workerData as EngineWorkerData;
await answerCalls(async (log) => {
  const { openEngine } = (await import(module)) as { openEngine: OpenEngine };
  return openEngine(settings, log);
});
