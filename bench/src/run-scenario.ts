/** Runs one scenario through HTTP against a trio of its own processes and prints one row per variant. */
import { type Answer, generate, type Trio } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';
import type { Scenario, Variant } from './scenario.ts';
import { median, spread } from './stats.ts';

export interface VariantResult {
  readonly variant: string;
  /** Decode tokens per second, one value per prompt. */
  readonly tokensPerSecond: number[];
  /** Ratio to the first variant on the same prompt. */
  readonly ratios: number[];
  readonly acceptanceRate: number | null;
  readonly meanAcceptanceLength: number | null;
  readonly acceptancePerPosition: number[];
  /** Greedy texts that differ from the first variant's. */
  readonly numDifferentTexts: number | null;
}

export async function runScenario(scenario: Scenario, servers: ReadonlyMap<string, Trio>): Promise<VariantResult[]> {
  const answers = scenario.variants.map(() => [] as Answer[]);
  const ask = (variant: Variant, prompt: string, seed: number) =>
    generate(servers.get(variant.server)!.coordinator.url, {
      ...(scenario.promptAs === 'chat' ? { messages: [{ role: 'user', content: prompt }] } : { prompt }),
      max_new_tokens: scenario.maxNewTokens,
      ignore_eos: true,
      seed,
      ...variant.request,
    });

  for (const variant of scenario.variants) await ask(variant, PROMPTS.at(-1)!, 0); // warm-up
  for (let i = 0; i < scenario.numPrompts; i++) {
    // The order turns with each prompt, so that no variant is always the first.
    for (let j = 0; j < scenario.variants.length; j++) {
      const at = (i + j) % scenario.variants.length;
      answers[at]!.push(await ask(scenario.variants[at]!, PROMPTS[i % PROMPTS.length]!, i + 1));
    }
  }
  return scenario.variants.map((variant, i) => resultOf(variant, answers[i]!, answers[0]!));
}

function resultOf(variant: Variant, answers: readonly Answer[], baseline: readonly Answer[]): VariantResult {
  const rate = (answer: Answer) => answer.metrics.decode_tokens_per_second;
  const sum = (pick: (s: Answer['metrics']['speculative_decoding']) => number) =>
    answers.reduce((total, answer) => total + pick(answer.metrics.speculative_decoding), 0);
  const drafted = sum((s) => s.num_draft_tokens);
  const accepted = sum((s) => s.num_accepted_tokens);
  const numPositions = Math.max(
    0,
    ...answers.map((a) => a.metrics.speculative_decoding.num_draft_tokens_per_pos.length),
  );
  const greedy = variant.request.temperature === 0;
  return {
    variant: variant.name,
    tokensPerSecond: answers.map(rate),
    ratios: answers.map((answer, i) => rate(answer) / rate(baseline[i]!)),
    acceptanceRate: drafted > 0 ? accepted / drafted : null,
    meanAcceptanceLength: drafted > 0 ? 1 + accepted / sum((s) => s.num_drafts) : null,
    // Of the tokens guessed at a position: a proposal that ended before it made no guess there.
    acceptancePerPosition: Array.from({ length: numPositions }, (_, position) => {
      const guessed = sum((s) => s.num_draft_tokens_per_pos[position] ?? 0);
      return sum((s) => s.num_accepted_tokens_per_pos[position] ?? 0) / guessed;
    }),
    numDifferentTexts: greedy
      ? answers.filter((answer, i) => answer.token_ids.join() !== baseline[i]!.token_ids.join()).length
      : null,
  };
}

export function printResults(scenario: Scenario, results: readonly VariantResult[]): void {
  console.log(`\n${scenario.name}: ${scenario.numPrompts} prompts × ${scenario.maxNewTokens} tokens, through HTTP`);
  console.table(
    Object.fromEntries(
      results.map((result) => [
        result.variant,
        {
          'tokens/s': spread(result.tokensPerSecond),
          ratio: `${median(result.ratios).toFixed(2)} (${spread(result.ratios, 2).split('(')[1]}`,
          acceptance: result.acceptanceRate?.toFixed(3) ?? '–',
          'mean length': result.meanAcceptanceLength?.toFixed(2) ?? '–',
          'by position': result.acceptancePerPosition.map((rate) => rate.toFixed(2)).join(' ') || '–',
          'texts that differ': result.numDifferentTexts ?? '–',
        },
      ]),
    ),
  );
}
