/** Do a target and a draft fit, and what does the draft bring? Runs both and measures. */
import { writeFileSync } from 'node:fs';
import { passMs } from '@forerunner/protocol';
import { ConfigError } from '@forerunner/service-kit/config-error';
import { findModel, type NamedModel } from '@forerunner/service-kit/model-names';
import { hasChatTemplate } from '@forerunner/tokenizer';
import { type Command, type CommandInput, integerOf, numberOf, textOf, UsageError } from '../command.ts';
import { possibleDrafts, whyNoPair } from '../pair/candidates.ts';
import { ANSWERS_PER_PROMPT, measurePair, type PairFigures } from '../pair/figures.ts';
import { plotSvg, plotText } from '../pair/plot.ts';
import { readPrompts } from '../pair/prompts.ts';
import { PairServices } from '../pair/services.ts';
import { Progress } from '../progress.ts';

export const pairCommand: Command = {
  usage: 'TARGET [DRAFT] [options]',
  summary: 'whether a draft fits a target, and how much faster the two are',
  help: `  Without DRAFT every model of this machine with the target's tokenizer, and no larger, is tried and ranked.
  Runs the trio on free ports, asks it for answers and measures: how often guesses are kept, what passes cost, and from
  both the speed-up by number of guesses (K), as the coordinator plans it. Then holds it against real answers.
  --prompts FILE         one prompt a line (eight of different kinds)
  --max-tokens N         of each answer (64)
  --max-k N              most guesses a round that are looked at (8)
  --temperature T        0 is greedy (0)
  --svg FILE             the picture, too, of the best draft`,
  examples: [
    'forerunner pair 135m 135m-feature-draft',
    'forerunner pair qwen2.5-7b-instruct-int4 --prompts mine.txt --svg speedup.svg',
  ],
  options: {
    prompts: { type: 'string' },
    'max-tokens': { type: 'string', default: '64' },
    'max-k': { type: 'string', default: '8' },
    temperature: { type: 'string', default: '0' },
    svg: { type: 'string' },
  },
  async run({ positionals, values, output }) {
    const [targetName, draftName, ...rest] = positionals;
    if (!targetName || rest.length > 0) throw new UsageError('pair wants one TARGET, and at most one DRAFT');
    const asked = optionsOf(values);
    const target = findModel(targetName);
    const drafts = draftsOf(target, draftName);
    const figures: PairFigures[] = [];
    const refused: { draft: string; reason: string }[] = [];
    output.note(`starting ${target.name}`);
    await withServices(target, asked.maxK, async (services) => {
      for (const draft of drafts) {
        output.note(`measuring ${draft.name}`);
        const progress = new Progress(`asking ${draft.name}`, 'answers');
        let numAnswers = 0;
        const onAnswer = () => {
          numAnswers++;
          if (!output.json) progress.update(numAnswers, ANSWERS_PER_PROMPT * asked.prompts.length);
        };
        try {
          const asking = { ...asked, asChat: hasChatTemplate(target.dir), onAnswer };
          figures.push(await measurePair(services, draft, asking, asked.maxK));
        } catch (error) {
          if (draftName !== undefined || !(error instanceof ConfigError)) throw error;
          refused.push({ draft: draft.name, reason: error.message });
        } finally {
          progress.end();
        }
      }
    });
    const ranked = figures.toSorted((a, b) => b.best.speedup - a.best.speedup);
    const [first] = ranked;
    if (first && asked.svg !== undefined) {
      writeFileSync(asked.svg, plotSvg(`${target.name} with ${first.draft}`, first.predicted, first.best.draftK));
    }
    output.result({ target: target.name, drafts: ranked.map(toJson), refused }, [
      ...refused.map(({ draft, reason }) => `${draft}: ${reason}`),
      ...(ranked.length > 1 ? rankingLines(ranked) : []),
      ...(first ? pairLines(target.name, first) : []),
    ]);
  },
};

function optionsOf(values: CommandInput['values']) {
  return {
    prompts: readPrompts(textOf(values, 'prompts')),
    maxNewTokens: integerOf(values, 'max-tokens', 2, 4096),
    maxK: integerOf(values, 'max-k', 1, 32),
    temperature: numberOf(values, 'temperature', 0, 2),
    svg: textOf(values, 'svg'),
  };
}

/** Errors: ConfigError, when the draft that was named does not fit, or there is none that could. */
function draftsOf(target: NamedModel, name: string | undefined): NamedModel[] {
  if (name === undefined) {
    const drafts = possibleDrafts(target);
    if (drafts.length > 0) return drafts;
    throw new ConfigError(`no model of this machine has the tokenizer of ${target.name} and is not larger than it`);
  }
  const draft = findModel(name);
  const reason = whyNoPair(target, draft);
  if (reason !== null) throw new ConfigError(reason);
  return [draft];
}

/** A signal ends the services before it ends this process. */
async function withServices(target: NamedModel, maxK: number, use: (services: PairServices) => Promise<void>) {
  const services = await PairServices.start(target, maxK);
  const onSignal = () => void services.close().then(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  try {
    await use(services);
  } finally {
    await services.close();
  }
}

function rankingLines(ranked: readonly PairFigures[]): string[] {
  return [
    'drafts, best first:',
    ...ranked.map(({ draft, best }) => `  ${draft}: ${best.speedup.toFixed(2)} at K = ${best.draftK}`),
    '',
  ];
}

function pairLines(target: string, figures: PairFigures): string[] {
  const { draft, numProposals, acceptanceByPosition, best, measuredDraftK, tokensPerSecond } = figures;
  const { alone, fixed, auto } = tokensPerSecond;
  const achieved = (rate: number | null) =>
    alone === null || rate === null
      ? '(answers too short)'
      : `${rate.toFixed(1)} tokens/s, ${(rate / alone).toFixed(2)} times`;
  return [
    `${target} and ${draft} fit.`,
    `  kept, of ${numProposals} proposals, by position: ${acceptanceByPosition.map((share) => share.toFixed(2)).join('  ')}`,
    `  ${costLine('target', figures.targetCosts)}`,
    `  ${costLine('draft', figures.draftCosts)}`,
    '',
    ...plotText(figures.predicted, best.draftK),
    '',
    `  measured, the target alone: ${alone === null ? '(answers too short)' : `${alone.toFixed(1)} tokens/s`}`,
    `  measured, K = ${measuredDraftK}: ${achieved(fixed)}`,
    `  measured, K = auto: ${achieved(auto)}`,
  ];
}

/** 'a pass of the target: 1 row 12.1 ms, 2 rows 12.4 ms, …'. */
function costLine(whose: string, costs: PairFigures['targetCosts']): string {
  const shown = [1, 2, 5, 8, 16].map((numRows) => {
    const ms = passMs(costs, { numRows, numSequences: 1, numCachedTokens: 0 });
    return `${numRows} row${numRows === 1 ? '' : 's'} ${ms.toFixed(1)} ms`;
  });
  return `a pass of the ${whose}: ${shown.join(', ')}`;
}

function toJson({ draft, numProposals, acceptanceByPosition, targetCosts, draftCosts, ...rest }: PairFigures) {
  const { predicted, best, measuredDraftK, tokensPerSecond } = rest;
  return {
    draft,
    num_proposals: numProposals,
    acceptance_by_position: acceptanceByPosition,
    pass_costs: { target: targetCosts, draft: draftCosts },
    predicted: predicted.map(({ draftK, speedup, tokensPerRound, roundMs }) => {
      return { draft_k: draftK, speedup, tokens_per_round: tokensPerRound, round_ms: roundMs };
    }),
    best_draft_k: best.draftK,
    measured_draft_k: measuredDraftK,
    tokens_per_second: tokensPerSecond,
  };
}
