/** The trio as a user gets it: the default pair, unchanged settings. */
import { type Answer, generate, scrape, sumOf } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { afterTokens, readStream } from '../support/answers.ts';
import { isInstalled } from '../support/command.ts';
import { startPrometheus } from '../support/prometheus.ts';
import type { Stack } from '../support/stack.ts';
import { startStack } from '../support/start-stack.ts';
import { until } from '../support/until.ts';

const MEMBERS = ['draft-service', 'target-service', 'speculative-coordinator'] as const;
const chat = (content: string) => ({ messages: [{ role: 'user', content }] });
const hasPrometheus = await isInstalled('prometheus');

describe('the trio on the default pair', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack('default');
  });
  afterAll(() => stack?.close());

  it('answers a question with text and the statistics of speculation', async () => {
    const answer = await generate(stack.url, { ...chat('Explain why the sky is blue.'), max_new_tokens: 32 });
    expect(answer.text.length).toBeGreaterThan(20);
    expect(answer.usage.completion_tokens).toBe(32);
    expect(answer.finish_reason).toBe('length');
    const { num_drafts, num_draft_tokens, num_degraded_rounds } = answer.metrics.speculative_decoding;
    expect(num_drafts).toBeGreaterThan(0);
    expect(num_draft_tokens).toBeGreaterThanOrEqual(num_drafts);
    expect(num_degraded_rounds).toBe(0);
  });

  it('streams the text that the plain reply has', async () => {
    const body = { prompt: 'Once upon a time', max_new_tokens: 32, temperature: 0 };
    const plain = await generate(stack.url, body);
    const streamed = await readStream(stack.url, body);
    expect(streamed.text).toBe(plain.text);
    expect(streamed.tokenIds).toEqual(plain.token_ids);
    expect(streamed.summary?.usage).toEqual(plain.usage);
    expect(streamed.isDone).toBe(true);
  });

  it.for([
    'What is the capital of France?',
    'Write a function that reverses a list in Python.',
    'List three uses of copper.',
    'Why do cats purr?',
  ])('says the same with and without the draft: %s', async (question) => {
    const body = { ...chat(question), max_new_tokens: 48, temperature: 0 };
    const alone = await generate(stack.url, { ...body, speculative: false });
    const speculative = await generate(stack.url, body);
    expect(alone.metrics.speculative_decoding.num_drafts).toBe(0);
    expect(speculative.metrics.speculative_decoding.num_drafts).toBeGreaterThan(0);
    expect(speculative.token_ids).toEqual(alone.token_ids);
  });

  it('counts exactly what the replies say', async () => {
    const before = await scrape(stack.url);
    const bodies = [0, 0.8, 1].map((temperature) => ({
      prompt: 'The river',
      max_new_tokens: 24,
      temperature,
      seed: 7,
    }));
    const answers = await Promise.all(bodies.map((body) => generate(stack.url, body)));
    const after = await scrape(stack.url);
    const grown = (name: string) => sumOf(after, name) - sumOf(before, name);
    const told = (of: (answer: (typeof answers)[number]) => number) =>
      answers.reduce((sum, answer) => sum + of(answer), 0);

    expect(grown('spec_decode_num_drafts_total')).toBe(told((a) => a.metrics.speculative_decoding.num_drafts));
    expect(grown('spec_decode_num_draft_tokens_total')).toBe(
      told((a) => a.metrics.speculative_decoding.num_draft_tokens),
    );
    const numAccepted = told((a) => a.metrics.speculative_decoding.num_accepted_tokens);
    expect(grown('spec_decode_num_accepted_tokens_total')).toBe(numAccepted);
    expect(grown('spec_decode_num_accepted_tokens_per_pos_total')).toBe(numAccepted);
    expect(grown('forerunner_generated_tokens_total')).toBe(told((a) => a.usage.completion_tokens));
    expect(grown('forerunner_requests_total')).toBe(answers.length);
  });

  it.skipIf(!hasPrometheus)('is scraped by a real Prometheus, whose rules agree with the replies', async () => {
    const prometheus = await startPrometheus(Object.fromEntries(MEMBERS.map((name) => [name, stack.urlOf(name)])));
    try {
      // Rates need a sample from before.
      await until(
        'a first scrape',
        async () => (await prometheus.query('sum(spec_decode_num_drafts_total)')) !== undefined,
      );
      const before = await prometheus.query('sum(spec_decode_num_drafts_total)');
      const answers: Answer[] = [];
      for (const seed of [1, 2, 3]) {
        answers.push(await generate(stack.url, { prompt: 'The old house', max_new_tokens: 24, seed }));
      }
      const sum = (of: 'num_drafts' | 'num_draft_tokens' | 'num_accepted_tokens') =>
        answers.reduce((total, answer) => total + answer.metrics.speculative_decoding[of], 0);
      await until('the new counts are scraped', async () => {
        return (await prometheus.query('sum(spec_decode_num_drafts_total)')) === before! + sum('num_drafts');
      });
      await until('the rules see them', async () => {
        const length = await prometheus.query('forerunner:mean_acceptance_length:rate5m');
        const rate = await prometheus.query('forerunner:acceptance_rate:rate5m');
        return (
          Math.abs(length! - (1 + sum('num_accepted_tokens') / sum('num_drafts'))) < 1e-6 &&
          Math.abs(rate! - sum('num_accepted_tokens') / sum('num_draft_tokens')) < 1e-6
        );
      });
      expect(await prometheus.query('max(forerunner_degraded)')).toBe(0);
      expect(await prometheus.query('max(forerunner:kv_cache_fill_ratio)')).toBeLessThan(1);
      expect(await prometheus.query('count(ALERTS{alertstate="firing"})')).toBeUndefined();
    } finally {
      await prometheus.stop();
    }
  });

  it('frees what a finished request held, on both sides', async () => {
    await generate(stack.url, { prompt: 'A short one', max_new_tokens: 4 });
    for (const member of ['draft-service', 'target-service'] as const) {
      await until(`${member} holds no sequence`, async () => {
        return sumOf(await scrape(stack.urlOf(member)), 'forerunner_sequences') === 0;
      });
    }
  });

  it('says the same when the draft is killed in the middle, and drafts again when it is back', async () => {
    const drafting = { prompt_lookup: false, temperature: 0, ignore_eos: true };
    const body = { ...chat('Tell me a story about a fox.'), max_new_tokens: 64, ...drafting };
    const whole = await generate(stack.url, body);
    const { reached, onTokens } = afterTokens(8);
    const stream = readStream(stack.url, body, onTokens);
    await reached;
    await stack.kill('draft-service');
    const broken = await stream;
    expect(broken.tokenIds).toEqual(whole.token_ids);
    expect(broken.summary?.metrics.speculative_decoding.num_degraded_rounds).toBeGreaterThan(0);

    await stack.revive('draft-service');
    await until('answers are drafted', async () => {
      const { speculative_decoding } = (await generate(stack.url, { ...body, max_new_tokens: 8 })).metrics;
      return speculative_decoding.num_drafts > 0 && speculative_decoding.num_degraded_rounds === 0;
    });
  });

  // The last ones: they end the members.
  it('finishes the streams under way on SIGTERM, and exits with 0', async () => {
    const { reached, onTokens } = afterTokens(4);
    const stream = readStream(stack.url, { prompt: 'Long ago', max_new_tokens: 64, ignore_eos: true }, onTokens);
    await reached;
    const exitCode = stack.terminate('speculative-coordinator');
    expect((await stream).tokenIds).toHaveLength(64);
    expect((await stream).isDone).toBe(true);
    expect(await exitCode).toBe(0);
  });

  it('ends the model services with 0, too', async () => {
    expect(await stack.terminate('draft-service')).toBe(0);
    expect(await stack.terminate('target-service')).toBe(0);
  });
});
