/** What several tests share: plain parameters, seeded noise, and the slow, obvious way to make a distribution. */
import { CounterRng, type SamplingParams, type TextSoFar, type TokenDistribution } from '../src/index.ts';

export function sampling(overrides: Partial<SamplingParams> = {}): SamplingParams {
  return {
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    logitBias: new Map(),
    suppressTokens: [],
    ...overrides,
  };
}

/** A text without a prompt. */
export const output = (tokenIds: readonly number[]): TextSoFar => ({ tokenIds, outputStart: 0 });

const NOISE = 1_000; // a stream that the package itself does not use

/** Logits from a normal distribution (Box-Muller), by seed. */
export function randomLogits(seed: number, length: number, spread = 1): Float32Array {
  const rng = new CounterRng(seed);
  return Float32Array.from({ length }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(rng.uniform(NOISE, i, 0)));
    return spread * radius * Math.cos(2 * Math.PI * rng.uniform(NOISE, i, 1));
  });
}

/** Normalised probabilities by token id, as a distribution's reader sees them. */
export function denseProbs(distribution: TokenDistribution, vocabSize: number): number[] {
  const dense = new Array<number>(vocabSize).fill(0);
  const total = distribution.probs.reduce((sum, p) => sum + p, 0);
  distribution.probs.forEach((p, i) => {
    dense[distribution.tokenIds ? distribution.tokenIds[i]! : i] = p / total;
  });
  return dense;
}

/** Sorts the whole row and cuts it with one filter after the other. Returns probabilities by token id. */
export function naiveDistribution(logits: ArrayLike<number>, params: SamplingParams): Map<number, number> {
  const scaled = Array.from(logits, (logit) => logit / params.temperature);
  const max = Math.max(...scaled);
  const weight = (id: number) => Math.exp(scaled[id]! - max);
  const mass = (ids: number[]) => ids.reduce((sum, id) => sum + weight(id), 0);
  let kept = scaled.map((_, id) => id).filter((id) => scaled[id]! > -Infinity);
  kept.sort((a, b) => scaled[b]! - scaled[a]! || a - b);
  if (params.topK > 0) kept = kept.slice(0, params.topK);
  if (params.topP < 1) {
    const needed = params.topP * mass(kept);
    let reached = 0;
    kept = kept.filter((id) => {
      const wanted = reached < needed;
      reached += weight(id);
      return wanted;
    });
  }
  kept = kept.filter((id) => weight(id) >= params.minP);
  const total = mass(kept);
  return new Map(kept.sort((a, b) => a - b).map((id) => [id, weight(id) / total]));
}
