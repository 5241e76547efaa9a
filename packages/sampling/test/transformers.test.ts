/** The filters against Hugging Face's transformers: golden values made by its own processors (transformers_golden.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Sampler, type SamplingParams } from '../src/index.ts';
import { denseProbs, sampling } from './support.ts';

interface Case {
  readonly sampling: Readonly<Record<string, number>> & {
    readonly logit_bias?: Record<string, number>;
    readonly suppress_tokens?: number[];
  };
  readonly processors: string[];
  readonly text: number[];
  readonly logits: number[];
  readonly probs: number[];
}
const golden = JSON.parse(readFileSync(new URL('./transformers-golden.json', import.meta.url), 'utf8'));
const cases: Case[] = golden.cases;

const paramsOf = ({ logit_bias, suppress_tokens, ...numbers }: Case['sampling']): SamplingParams =>
  sampling({
    temperature: numbers.temperature ?? 1,
    topK: numbers.top_k ?? 0,
    topP: numbers.top_p ?? 1,
    minP: numbers.min_p ?? 0,
    repetitionPenalty: numbers.repetition_penalty ?? 1,
    logitBias: new Map(Object.entries(logit_bias ?? {}).map(([id, bias]) => [Number(id), bias])),
    suppressTokens: suppress_tokens ?? [],
  });

describe(`transformers ${golden.transformers}, whose prompt of 12 tokens counts for the repetition penalty`, () => {
  it.each(cases.map((one) => [JSON.stringify(one.sampling), one] as const))('gives the same for %s', (_name, one) => {
    const text = { tokenIds: one.text, outputStart: one.text.length };
    const distribution = new Sampler(60).distribution(Float32Array.from(one.logits), paramsOf(one.sampling), text);
    const probs = denseProbs(distribution, 60);
    expect(probs.map((p) => p > 0)).toEqual(one.probs.map((p) => p > 0));
    probs.forEach((p, id) => {
      expect(Math.abs(p - one.probs[id]!)).toBeLessThan(2e-6);
    });
  });

  it('needs every processor that it names (negative control)', () => {
    const names = new Set(cases.flatMap(({ processors }) => processors));
    expect([...names].sort()).toEqual(
      ['MinP', 'RepetitionPenalty', 'SequenceBias', 'SuppressTokens', 'Temperature', 'TopK', 'TopP'].sort(),
    );
    for (const one of cases.slice(1)) {
      const plain = denseProbs(new Sampler(60).distribution(Float32Array.from(one.logits), sampling()), 60);
      expect(
        plain.some((p, id) => Math.abs(p - one.probs[id]!) > 1e-5),
        JSON.stringify(one.sampling),
      ).toBe(true);
    }
  });
});
