/** The target-service's worker: the engine, and the sampler beside it. */
import { answerCalls, EngineError } from '@forerunner/engine';
import { engineService } from '@forerunner/model-service/worker';
import { Scorer } from './scorer.ts';

export type TargetMethods = { score: Scorer['score'] };

await answerCalls((log) =>
  engineService(log, (engine) => {
    const { headSize, vocabSize } = engine.signature;
    if (headSize !== vocabSize) {
      throw new EngineError(
        'model_unsupported',
        `a target needs a full head, this one has ${headSize} of ${vocabSize}`,
      );
    }
    const scorer = new Scorer(engine);
    const methods: TargetMethods = { score: (call, signal) => scorer.score(call, signal) };
    return methods;
  }),
);
