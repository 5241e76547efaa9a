/**
 * Coupled verification through HTTP, on the tiny pair with two replicas of the target: a seed gives the target's own
 * answer, with any draft length, no draft, among others, and when parts die.
 */
import {
  type Answer,
  freePort,
  generate,
  ServiceProcess,
  scrape,
  startTrio,
  streamEvents,
  sumOf,
  type Trio,
} from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let trio: Trio;
let second: ServiceProcess;
let coordinator: ServiceProcess;
let url: string;

beforeAll(async () => {
  second = new ServiceProcess('target-service', await freePort(), { MODEL_SIZE: 'tiny', LOG_LEVEL: 'warn' });
  await second.start();
  trio = await startTrio({
    target: 'tiny',
    draft: 'tiny-draft',
    env: { LOG_LEVEL: 'warn' },
    coordinatorEnv: { DRAFT_TIMEOUT_MS: '2000', MAX_DRAFT_TOKENS: '8', MAX_CONCURRENT_REQUESTS: '32' },
  });
  // The same coordinator's settings, with both replicas.
  await trio.coordinator.end();
  const both = new ServiceProcess('speculative-coordinator', await freePort(), {
    MODEL_SIZE: 'tiny',
    LOG_LEVEL: 'warn',
    DRAFT_ENDPOINT: trio.draft.url,
    TARGET_ENDPOINT: `${second.url},${trio.target.url}`,
    DRAFT_TIMEOUT_MS: '2000',
    MAX_DRAFT_TOKENS: '8',
    MAX_CONCURRENT_REQUESTS: '32',
    PEER_CHECK_INTERVAL_MS: '200',
  });
  await both.start();
  coordinator = both;
  url = both.url;
});

afterAll(async () => {
  await Promise.all([coordinator?.end('SIGKILL'), second?.end('SIGKILL')]);
  await trio?.stop();
});

const body = (more: object) => ({ prompt: 'Once upon a time', max_new_tokens: 48, ignore_eos: true, ...more });
const SETTINGS = [
  { temperature: 1 },
  { temperature: 0.3 },
  { temperature: 1.6 },
  { temperature: 0.9, top_k: 30 },
  { temperature: 1, top_p: 0.85 },
  { temperature: 1.2, min_p: 0.05 },
  { temperature: 0.8, repetition_penalty: 1.3 },
  { temperature: 1, presence_penalty: 0.7, frequency_penalty: 0.4 },
  { temperature: 1, top_p: 0.95, logit_bias: { 300: 3, 301: -50 }, suppress_tokens: [299, 5] },
];

describe('a seed gives the answer of the target alone', () => {
  it.each(SETTINGS)('with any draft length: %j', async (sampling) => {
    for (const seed of [1, 77]) {
      const request = body({ ...sampling, seed });
      const alone = await generate(url, { ...request, speculative: false });
      for (const draft_k of [1, 3, 8]) {
        const answer = await generate(url, { ...request, draft_k });
        expect(answer.token_ids).toEqual(alone.token_ids);
        expect(answer.metrics.speculative_decoding.num_draft_tokens).toBeGreaterThan(0);
      }
      const hurried = await generate(url, { ...request, draft_k: 8, min_confidence: 0.5 });
      expect(hurried.token_ids).toEqual(alone.token_ids);
    }
  });

  it('among many others, in batches and on two replicas', async () => {
    const requests = SETTINGS.flatMap((sampling, i) =>
      [1, 2].map((seed) => body({ ...sampling, seed, prompt: `${i} mice` })),
    );
    const alone: number[][] = [];
    for (const request of requests) alone.push((await generate(url, { ...request, speculative: false })).token_ids);
    const together = await Promise.all(requests.map((request) => generate(url, request)));
    expect(together.map((answer) => answer.token_ids)).toEqual(alone);
    for (const target of [second, trio.target])
      expect(sumOf(await scrape(target.url), 'forerunner_http_requests_total')).toBeGreaterThan(20);
  });

  it('and another seed gives another one, as no seed does', async () => {
    const answers = await Promise.all([{ seed: 1 }, { seed: 2 }, {}, {}].map((more) => generate(url, body(more))));
    expect(new Set(answers.map((answer) => String(answer.token_ids))).size).toBe(4);
  });
});

/** Streams an answer and does something once, after its third event. */
async function streamWith(request: object, action: () => Promise<void>): Promise<number[]> {
  const tokenIds: number[] = [];
  let events = 0;
  for await (const { data } of streamEvents(url, request)) {
    if (data === '[DONE]') break;
    const round = data as Answer;
    if (!round.metrics) tokenIds.push(...round.token_ids);
    if (++events === 3) await action();
  }
  return tokenIds;
}

describe('what travels in a round of four guesses', () => {
  it.each([
    ['coupled', 2000],
    ['rejection', 8000],
    ['block', 8000],
  ])('is some kilobytes: %s', async (verification, limit) => {
    const counted = async (name: string) =>
      (await scrape(url)).get(`${name}{verification="${verification}",service="speculative-coordinator"}`) ?? 0;
    const [bytes, rounds] = ['forerunner_round_bytes_total', 'forerunner_verified_rounds_total'];
    const before = [await counted(bytes), await counted(rounds)];
    await generate(url, body({ verification, draft_k: 4, temperature: 1.6 }));
    const grown = [(await counted(bytes)) - before[0]!, (await counted(rounds)) - before[1]!];
    expect(grown[1]).toBeGreaterThan(5);
    expect(grown[0]! / grown[1]!).toBeLessThan(limit); // a row of this vocabulary has 4,096 bytes
    expect(grown[0]! / grown[1]!).toBeGreaterThan(500);
  });
});

describe('killed in mid-stream', () => {
  const request = body({ temperature: 1.2, top_p: 0.95, repetition_penalty: 1.1, seed: 9, max_new_tokens: 200 });

  it('the draft changes no token', async () => {
    const alone = (await generate(url, { ...request, speculative: false })).token_ids;
    expect(await streamWith(request, async () => void (await trio.draft.end('SIGKILL')))).toEqual(alone);
    await trio.draft.start();
  });

  it('the replica that has the text changes no token', async () => {
    const alone = (await generate(url, { ...request, speculative: false })).token_ids;
    const kill = async () => {
      const isBusy = sumOf(await scrape(second.url), 'forerunner_sequences') > 0;
      await (isBusy ? second : trio.target).end('SIGKILL');
    };
    expect(await streamWith(request, kill)).toEqual(alone);
  });
});
