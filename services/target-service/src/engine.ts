/** What the target-service does beside the model: the engine, and the sampler on it. */
import { modelUnsupported } from '@forerunner/engine';
import { engineService, type OpenEngine } from '@forerunner/model-service/beside-model';
import { Scorer } from './scorer.ts';

export type TargetMethods = { score: Scorer['score'] };

export const openEngine: OpenEngine = (settings, log) =>
  engineService(settings, log, (engine) => {
    const { headSize, vocabSize } = engine.signature;
    if (headSize !== vocabSize) {
      throw modelUnsupported(`a target needs a full head, this one has ${headSize} of ${vocabSize}`);
    }
    const scorer = new Scorer(engine);
    const methods: TargetMethods = { score: (call, signal) => scorer.score(call, signal) };
    return methods;
  });
