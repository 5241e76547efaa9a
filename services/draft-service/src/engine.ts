/** What the draft-service does beside the model: the engine, and the sampler on it. */
import { engineService, type OpenEngine } from '@forerunner/model-service/beside-model';
import { Proposer } from './proposer.ts';

export type DraftMethods = { propose: Proposer['propose'] };

export const openEngine: OpenEngine = (settings, log) =>
  engineService(settings, log, (engine) => {
    const proposer = new Proposer(engine);
    const methods: DraftMethods = { propose: (call, signal) => proposer.propose(call, signal) };
    return methods;
  });
