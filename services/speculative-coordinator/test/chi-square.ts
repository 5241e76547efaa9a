/** The distribution of the first tokens of many answers against what it should be. */
import { type ToyModel, VOCAB_SIZE } from './toy-peers.ts';
import type { ToyParams, ToyTrio } from './toy-trio.ts';

const PROMPT = [3, 5];
export const NUM_ANSWERS = 12_000;
const NUM_TOKENS = 4;

/** χ² of the second and third token together, given the prompt; tokens 2 and 3 are emitted by a drafted round. */
export async function chiSquare(
  trio: ToyTrio,
  expected: ToyModel,
  params: Partial<ToyParams> = {},
  numAnswers: number = NUM_ANSWERS,
): Promise<{ statistic: number; limit: number }> {
  const counts = new Map<string, number>();
  for (let seed = 1; seed <= numAnswers; seed++) {
    const { output } = await trio.generate({ seed, maxNewTokens: NUM_TOKENS, numSpeculativeTokens: 3, ...params });
    const key = output.tokenIds.slice(0, 3).join(',');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return fitOfThree(counts, { model: expected, prompt: PROMPT, numAnswers });
}

/** χ² of the first three tokens of answers, counted by 'a,b,c', against a model's exact distribution. */
export function fitOfThree(
  counts: ReadonlyMap<string, number>,
  { model, prompt, numAnswers }: { model: ToyModel; prompt: readonly number[]; numAnswers: number },
): { statistic: number; limit: number } {
  let statistic = 0;
  let bins = 0;
  const rest = { observed: 0, expected: 0 };
  const add = (observed: number, mean: number) => {
    statistic += (observed - mean) ** 2 / mean;
    bins++;
  };
  const first = model(Int32Array.from(prompt));
  for (let a = 0; a < VOCAB_SIZE; a++) {
    const second = model(Int32Array.of(...prompt, a));
    for (let b = 0; b < VOCAB_SIZE; b++) {
      const third = model(Int32Array.of(...prompt, a, b));
      for (let c = 0; c < VOCAB_SIZE; c++) {
        const mean = numAnswers * first[a]! * second[b]! * third[c]!;
        const observed = counts.get(`${a},${b},${c}`) ?? 0;
        if (mean >= 5) {
          add(observed, mean);
          continue;
        }
        rest.observed += observed;
        rest.expected += mean;
      }
    }
  }
  if (rest.observed > 0 || rest.expected > 0) add(rest.observed, Math.max(rest.expected, 1e-9));
  return { statistic, limit: bins - 1 + 10 * Math.sqrt(2 * (bins - 1)) };
}
