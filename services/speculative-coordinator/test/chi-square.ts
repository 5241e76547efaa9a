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
  let statistic = 0;
  let bins = 0;
  let rest = { observed: 0, expected: 0 };
  const add = (observed: number, mean: number) => {
    statistic += (observed - mean) ** 2 / mean;
    bins++;
  };
  const first = expected(Int32Array.from(PROMPT));
  for (let a = 0; a < VOCAB_SIZE; a++) {
    const second = expected(Int32Array.of(...PROMPT, a));
    for (let b = 0; b < VOCAB_SIZE; b++) {
      const third = expected(Int32Array.of(...PROMPT, a, b));
      for (let c = 0; c < VOCAB_SIZE; c++) {
        const mean = numAnswers * first[a]! * second[b]! * third[c]!;
        const observed = counts.get(`${a},${b},${c}`) ?? 0;
        if (mean >= 5) add(observed, mean);
        else rest = { observed: rest.observed + observed, expected: rest.expected + mean };
      }
    }
  }
  if (rest.expected > 0) add(rest.observed, rest.expected);
  return { statistic, limit: bins - 1 + 10 * Math.sqrt(2 * (bins - 1)) };
}
