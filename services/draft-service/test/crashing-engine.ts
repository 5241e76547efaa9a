/** The draft's engine, whose thread dies in the middle of every fourth proposal. */
import type { OpenEngine } from '@forerunner/model-service/beside-model';
import { openEngine as openReal } from '../src/engine.ts';
import type { ProposeCall } from '../src/proposer.ts';

const CALLS_OF_A_LIFE = 4;

export const openEngine: OpenEngine = async (settings, log) => {
  const service = await openReal(settings, log);
  let numCalls = 0;
  const reply = (call: ProposeCall, signal: AbortSignal) => {
    if (call.request.num_speculative_tokens === 0 || ++numCalls < CALLS_OF_A_LIFE)
      return service.methods.reply!(call, signal);
    setImmediate(() => {
      throw new Error('the draft crashes');
    });
    return new Promise(() => {});
  };
  return { ...service, methods: { ...service.methods, reply } };
};
