/**
 * Coupled draws: they are the specified ones to the last bit (vectors made by another program, in another language), they
 * follow the distribution, they agree as often as they must, and speculation with them gives the target's own text.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expNegative } from '../src/exp.ts';
import {
  CounterRng,
  CoupledNoise,
  drawCoupled,
  Sampler,
  type SamplingParams,
  type TextSoFar,
  verifyTargetTokens,
} from '../src/index.ts';
import { negativeLog } from '../src/log.ts';
import { fit } from './fit.ts';
import { denseProbs, naiveDistribution, output, randomLogits, sampling } from './support.ts';

const vectors = JSON.parse(readFileSync(new URL('./coupled-vectors.json', import.meta.url), 'utf8'));
const NOTHING = output([]);

describe('the test vectors', () => {
  it('hold for uniforms, logarithms, exponentials and weights, bit for bit', () => {
    for (const { seed, stream, position, index, value } of vectors.uniforms)
      expect(new CounterRng(seed).uniform(stream, position, index)).toBe(value);
    for (const { u, value } of vectors.negative_logs) expect(negativeLog(u)).toBe(value);
    for (const { x, value } of vectors.exps) expect(expNegative(x)).toBe(value);
    for (const { seed, position, token_id, value } of vectors.exponentials)
      expect(new CoupledNoise(seed, position).exponential(token_id)).toBe(value);
  });

  it('hold for draws', () => {
    for (const draw of vectors.draws) {
      const logits = Float32Array.from({ length: draw.vocab_size }, (_, v) => {
        return ((draw.case * 7919 + v * 104729) % 65521) / 4096 - 12 + (v % 97 === draw.case % 97 ? 6 : 0);
      });
      const { temperature, top_k: topK, top_p: topP, min_p: minP } = draw;
      const params = sampling({ temperature, topK, topP, minP });
      const noise = new CoupledNoise(draw.seed, draw.position);
      expect(new Sampler(draw.vocab_size).drawCoupled(logits, params, NOTHING, noise), JSON.stringify(draw)).toBe(
        draw.token_id,
      );
    }
  });
});

describe('negativeLog', () => {
  it('is within 1e-15 of the logarithm', () => {
    for (let i = 1; i <= 20_000; i++) {
      for (const u of [i / 20_000, 2 ** (-i / 400), 1 - i * 2 ** -53]) {
        expect(Math.abs(negativeLog(u) + Math.log(u))).toBeLessThanOrEqual(1e-15 * -Math.log(u));
      }
    }
    expect(negativeLog(1)).toBe(0);
  });
});

const SETTINGS: Partial<SamplingParams>[] = [
  {},
  { temperature: 0.3 },
  { temperature: 30 },
  { topK: 40 },
  { topP: 0.9 },
  { minP: 0.02 },
  { topK: 100, topP: 0.8, minP: 0.001 },
];

/** E(v)/w(v) of every token, none passed over. */
function naiveDraw(logits: Float32Array, params: SamplingParams, noise: CoupledNoise): number {
  const highest = Math.max(...logits);
  let best = -1;
  let least = Infinity;
  for (const id of naiveDistribution(logits, params).keys()) {
    const time = noise.exponential(id) / expNegative((logits[id]! - highest) / params.temperature);
    if (time < least) {
      least = time;
      best = id;
    }
  }
  return best;
}

describe('a coupled draw', () => {
  it.each(SETTINGS)('is the least E(v)/w(v) of all tokens that the filters keep: %j', (overrides) => {
    const sampler = new Sampler(1500);
    const params = sampling(overrides);
    for (let seed = 0; seed < 60; seed++) {
      const logits = randomLogits(seed, 1500, 1 + (seed % 7));
      if (seed % 3 === 1) for (let v = 0; v < 1500; v++) logits[v] = Math.round(logits[v]!);
      if (seed % 5 === 2) for (let v = 0; v < 1500; v += 2) logits[v] = -Infinity;
      const noise = () => new CoupledNoise(seed, 7 * seed);
      expect(sampler.drawCoupled(logits, params, NOTHING, noise())).toBe(naiveDraw(logits, params, noise()));
    }
  });

  it.each(SETTINGS)('of a reduced vocabulary is the same race over its ids: %j', (overrides) => {
    const draftToTarget = Int32Array.from({ length: 500 }, (_, i) => 3 * i + (i % 2));
    const reduced = new Sampler(500, draftToTarget);
    const whole = new Sampler(1500);
    for (let seed = 0; seed < 40; seed++) {
      const row = randomLogits(seed, 500, 3);
      const padded = new Float32Array(1500).fill(-Infinity);
      row.forEach((logit, i) => {
        padded[draftToTarget[i]!] = logit;
      });
      const draw = (sampler: Sampler, logits: Float32Array) =>
        sampler.drawCoupled(logits, sampling(overrides), NOTHING, new CoupledNoise(seed, 3));
      expect(draw(reduced, row)).toBe(draw(whole, padded));
    }
  });

  it('looks at bias, penalties and suppressed tokens first, and is the likeliest token at temperature 0', () => {
    const sampler = new Sampler(4);
    const row = Float32Array.of(5, 4, 3, 2);
    const draw = (overrides: Partial<SamplingParams>, text: TextSoFar = NOTHING) =>
      sampler.drawCoupled(row, sampling({ temperature: 0.01, ...overrides }), text, new CoupledNoise(1, 1));
    expect(draw({})).toBe(0);
    expect(draw({ logitBias: new Map([[3, 9]]) })).toBe(3);
    expect(draw({ suppressTokens: [0, 1] })).toBe(2);
    expect(draw({ repetitionPenalty: 2 }, { tokenIds: [0, 1], outputStart: 2 })).toBe(2);
    expect(draw({ presencePenalty: 2 }, { tokenIds: [0, 0], outputStart: 1 })).toBe(1);
    expect(draw({ temperature: 0, suppressTokens: [0] })).toBe(1);
  });

  it('refuses rows without a token, and rows with NaN', () => {
    const sampler = new Sampler(3);
    const invalid = expect.objectContaining({ code: 'invalid_logits' });
    for (const row of [Float32Array.of(1, Number.NaN, 0), new Float32Array(3).fill(-Infinity)]) {
      for (const overrides of SETTINGS) {
        const draw = () => sampler.drawCoupled(row, sampling(overrides), NOTHING, new CoupledNoise(1, 1));
        expect(draw).toThrow(invalid);
      }
    }
    const masked = Float32Array.of(-Infinity, 0, -Infinity);
    for (let seed = 0; seed < 50; seed++)
      expect(sampler.drawCoupled(masked, sampling(), NOTHING, new CoupledNoise(seed, 1))).toBe(1);
  });
});

describe('coupled draws over many seeds', () => {
  it.each([
    [16, 2],
    [4096, 4],
  ])('follow the distribution of %i tokens', (vocabSize, spread) => {
    const numDraws = 200_000;
    const logits = randomLogits(5, vocabSize, spread);
    const sampler = new Sampler(vocabSize);
    const observed = new Array<number>(vocabSize).fill(0);
    for (let seed = 0; seed < numDraws; seed++)
      observed[sampler.drawCoupled(logits, sampling(), NOTHING, new CoupledNoise(seed, 11))]!++;
    const own = fit(observed, denseProbs(sampler.distribution(logits, sampling()), vocabSize));
    expect(own.chiSquare).toBeLessThan(own.limit);
    const warmer = sampler.distribution(logits, sampling({ temperature: 1.1 }));
    const other = fit(observed, denseProbs(warmer, vocabSize)); // negative control
    expect(other.chiSquare).toBeGreaterThan(other.limit);
  });

  it('at neighbouring positions are independent, though a block’s noise is made from its least value', () => {
    const logits = randomLogits(6, 16);
    const sampler = new Sampler(16);
    const probs = denseProbs(sampler.distribution(logits, sampling()), 16);
    const pairs = (positions: (seed: number) => [number, number]) => {
      const observed = new Array<number>(256).fill(0);
      for (let seed = 0; seed < 50_000; seed++) {
        const [a, b] = positions(seed).map((position) =>
          sampler.drawCoupled(logits, sampling(), NOTHING, new CoupledNoise(seed, position)),
        );
        observed[16 * a! + b!]!++;
      }
      return fit(
        observed,
        probs.flatMap((a) => probs.map((b) => a * b)),
      );
    };
    const own = pairs(() => [3, 4]);
    expect(own.chiSquare).toBeLessThan(own.limit);
    const same = pairs(() => [3, 3]); // negative control
    expect(same.chiSquare).toBeGreaterThan(same.limit);
  });

  it.each([0.2, 1, 4])('of two models agree as often as theory says, spread %s', (spread) => {
    const V = 12;
    const sampler = new Sampler(V);
    const [a, b] = [randomLogits(1, V, spread), randomLogits(2, V, spread)];
    const [p, q] = [a, b].map((row) => sampler.distribution(row, sampling())) as [
      ReturnType<Sampler['distribution']>,
      ReturnType<Sampler['distribution']>,
    ];
    const n = 40_000;
    let agreed = 0;
    for (let seed = 0; seed < n; seed++) {
      const noise = () => new CoupledNoise(seed, 2);
      const x = sampler.drawCoupled(a, sampling(), NOTHING, noise());
      if (x === drawCoupled(q, noise())) agreed++;
    }
    const [pv, qv] = [denseProbs(p, V), denseProbs(q, V)];
    const expected = pv.reduce(
      (sum, px, x) => sum + 1 / pv.reduce((all, _, v) => all + Math.max(pv[v]! / px, qv[v]! / qv[x]!), 0),
      0,
    );
    const variation = pv.reduce((sum, px, x) => sum + Math.abs(px - qv[x]!), 0) / 2;
    expect(Math.abs(agreed / n - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / n));
    expect(expected).toBeGreaterThanOrEqual((1 - variation) / (1 + variation) - 1e-12);
  });
});

describe('coupled verification', () => {
  const V = 5;
  const sampler = new Sampler(V);
  /** Logits that depend on the whole text. */
  const rowOf = (model: number, text: readonly number[]) =>
    randomLogits(model * 1_000_003 + text.reduce((hash, id) => (hash * 31 + id + 1) % 999_983, 7), V, 1.5);
  const drawAfter = (model: number, seed: number, text: readonly number[], params: SamplingParams) =>
    sampler.drawCoupled(rowOf(model, text), params, output(text), new CoupledNoise(seed, text.length));

  function speculate(seed: number, k: number, params: SamplingParams, draftModel: number): number[] {
    const text: number[] = [];
    while (text.length < 12) {
      const drafted = [...text];
      for (let i = 0; i < k; i++) drafted.push(drawAfter(draftModel, seed, drafted, params));
      const target = Array.from({ length: k + 1 }, (_, i) =>
        drawAfter(1, seed, drafted.slice(0, text.length + i), params),
      );
      const drafts = drafted.slice(text.length);
      const outcome = verifyTargetTokens(Int32Array.from(drafts), Int32Array.from(target));
      text.push(...drafts.slice(0, outcome.numAcceptedTokens), outcome.bonusTokenId ?? outcome.recoveredTokenId);
    }
    return text.slice(0, 12);
  }

  it.each<Partial<SamplingParams>>([
    {},
    { temperature: 0.6, topK: 3 },
    { topP: 0.8, minP: 0.05 },
    { repetitionPenalty: 1.4, presencePenalty: 0.3, frequencyPenalty: 0.2 },
    { logitBias: new Map([[2, 1.5]]), suppressTokens: [4] },
  ])('emits the target’s own seeded text, with any draft and any K: %j', (overrides) => {
    const params = sampling(overrides);
    const texts = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const alone = speculate(seed, 0, params, 1);
      for (const k of [1, 2, 3, 5])
        for (const draft of [1, 2, 3]) {
          expect(speculate(seed, k, params, draft)).toEqual(alone);
        }
      texts.add(String(alone));
    }
    expect(texts.size).toBeGreaterThan(30);
  });
});
