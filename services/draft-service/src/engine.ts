/** What the draft-service does beside the model: the engine, and the sampler on it. */
import { engineService, type OpenEngine } from '@forerunner/model-service/beside-model';
import { Proposer } from './proposer.ts';

export type DraftMethods = Pick<Proposer, 'propose' | 'reply'>;

export const openEngine: OpenEngine = (settings, log) =>
  engineService(settings, log, (engine) => {
    const proposer = new Proposer(engine);
    const methods: DraftMethods = {
      propose: (call, signal) => proposer.propose(call, signal),
      reply: (call, signal) => proposer.reply(call, signal),
    };
    return methods;
  });
