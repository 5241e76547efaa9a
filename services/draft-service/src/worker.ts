/** The draft-service's worker: the engine, and the sampler beside it. */
import { answerCalls } from '@forerunner/engine';
import { engineService } from '@forerunner/model-service/worker';
import { Proposer } from './proposer.ts';

export type DraftMethods = { propose: Proposer['propose'] };

await answerCalls((log) =>
  engineService(log, (engine) => {
    const proposer = new Proposer(engine);
    const methods: DraftMethods = { propose: (call, signal) => proposer.propose(call, signal) };
    return methods;
  }),
);
