/** A worker on a real engine that can be made to die. */
import { answerCalls } from '@forerunner/engine';
import { engineService } from '../src/worker.ts';

const methods = {
  wait: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  crash: () => {
    setImmediate(() => {
      throw new Error('something impossible happened');
    });
  },
};
export type MortalMethods = typeof methods;

await answerCalls((log) => engineService(log, () => methods));
