/** A real engine that can be made to die. */
import { engineService, type OpenEngine } from '../src/beside-model.ts';

const methods = {
  wait: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  crash: () => {
    setImmediate(() => {
      throw new Error('something impossible happened');
    });
  },
};
export type MortalMethods = typeof methods;

export const openEngine: OpenEngine = (settings, log) => engineService(settings, log, () => methods);
