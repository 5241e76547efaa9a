/** Measures one draft beside the target: chances, costs, the prediction, and what really comes of it. */
import type { ModelCard } from '@forerunner/protocol';
import type { NamedModel } from '@forerunner/service-kit/model-names';
import { type Asking, type MeasuredSpeeds, measureAcceptance, measureSpeeds } from './measure.ts';
import { bestOf, type PredictedLength, predictSpeedups } from './predict.ts';
import type { PairServices } from './services.ts';

export interface PairFigures {
  readonly draft: string;
  readonly numProposals: number;
  /** That guess i + 1 is kept, all before it having been. */
  readonly acceptanceByPosition: readonly number[];
  readonly targetCosts: ModelCard['pass_costs'];
  readonly draftCosts: ModelCard['pass_costs'];
  readonly predicted: readonly PredictedLength[];
  readonly best: PredictedLength;
  /** At the best number of guesses, 1 if that is none. */
  readonly measuredDraftK: number;
  readonly tokensPerSecond: MeasuredSpeeds;
}

/** Answers that are asked for each prompt. */
export const ANSWERS_PER_PROMPT = 4;

/** Errors: ConfigError, when the draft does not run or does not fit. */
export function measurePair(
  services: PairServices,
  draft: NamedModel,
  asking: Omit<Asking, 'url'>,
  maxDraftTokens: number,
): Promise<PairFigures> {
  return services.withDraft(draft, async ({ url, facts }) => {
    const { kept, numProposals, numCachedTokens } = await measureAcceptance({ ...asking, url }, maxDraftTokens);
    const cards = await facts();
    const kind = asking.temperature === 0 ? 'greedy' : 'sampled';
    const predicted = predictSpeedups({ ...cards, kind, kept, numCachedTokens });
    const best = bestOf(predicted);
    const measuredDraftK = Math.max(1, best.draftK);
    return {
      draft: draft.name,
      numProposals,
      acceptanceByPosition: kept.map((chance, i) => conditional(chance, i === 0 ? 1 : kept[i - 1]!)),
      targetCosts: cards.target.pass_costs,
      draftCosts: cards.draft.pass_costs,
      predicted,
      best,
      measuredDraftK,
      tokensPerSecond: await measureSpeeds({ ...asking, url }, measuredDraftK),
    };
  });
}

const conditional = (chance: number, before: number): number => (before > 0 ? chance / before : 0);
