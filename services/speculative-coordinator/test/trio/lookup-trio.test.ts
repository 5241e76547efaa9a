/** Guesses from prompts and answers, with a draft and without one, over the real services on the tiny pair. */
import { DRAFT_SOURCES } from '@forerunner/protocol';
import {
  type Answer,
  freePort,
  generate,
  ServiceProcess,
  scrape,
  startTrio,
  sumOf,
  type Trio,
} from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let trio: Trio;
let withoutDraft: ServiceProcess;

beforeAll(async () => {
  trio = await startTrio({ target: 'tiny', draft: 'tiny-draft', coordinatorEnv: { DRAFT_TIMEOUT_MS: '10000' } });
  withoutDraft = new ServiceProcess('speculative-coordinator', await freePort(), {
    LOG_LEVEL: 'warn',
    MODEL_SIZE: 'tiny',
    TARGET_ENDPOINT: trio.target.url,
    DRAFT_ENDPOINT: '',
    PEER_CHECK_INTERVAL_MS: '100',
  });
  await withoutDraft.start();
});
afterAll(async () => {
  await withoutDraft?.end();
  await trio?.stop();
});

const PROMPTS = [
  'Once upon a time',
  'one two three one two three one two',
  'The cat sat on the mat. The dog sat on the',
  'abcdefg abcdefg abc',
];
const greedy = { temperature: 0, max_new_tokens: 80, ignore_eos: true };
const speculationOf = ({ metrics }: Answer) => metrics.speculative_decoding;

describe.each<[string, () => string]>([
  ['beside a draft', () => trio.coordinator.url],
  ['without a draft-service', () => withoutDraft.url],
])('lookups %s', (_where, urlOf) => {
  it('say what the target alone says, in fewer passes, and are used', async () => {
    let numKept = 0;
    for (const prompt of PROMPTS) {
      const alone = await generate(urlOf(), { ...greedy, prompt, speculative: false });
      const answer = await generate(urlOf(), { ...greedy, prompt });
      expect(answer.token_ids).toEqual(alone.token_ids);
      expect(speculationOf(answer).num_rounds).toBeLessThan(speculationOf(alone).num_rounds);
      numKept += speculationOf(answer).by_source.lookup.num_accepted_tokens;
    }
    expect(numKept).toBeGreaterThan(20);
  });

  it('are left out where a request says so', async () => {
    const answer = await generate(urlOf(), { ...greedy, prompt: PROMPTS[1], prompt_lookup: false });
    expect(speculationOf(answer).by_source.lookup.num_draft_tokens).toBe(0);
  });

  it('count under their own name: sources add up, in replies as in /metrics', async () => {
    const before = await scrape(urlOf());
    const told = { draft: 0, prediction: 0, lookup: 0 };
    for (let seed = 0; seed < 6; seed++) {
      const s = speculationOf(
        await generate(urlOf(), { prompt: PROMPTS[seed % 4], max_new_tokens: 40, temperature: 0.3, seed }),
      );
      for (const name of ['num_drafts', 'num_draft_tokens', 'num_accepted_tokens'] as const) {
        expect(DRAFT_SOURCES.reduce((sum, source) => sum + s.by_source[source][name], 0)).toBe(s[name]);
      }
      for (const source of DRAFT_SOURCES) told[source] += s.by_source[source].num_accepted_tokens;
    }
    const after = await scrape(urlOf());
    const grown = (source: string) => {
      const name = [...after.keys()].find(
        (key) => key.startsWith('spec_decode_num_accepted_tokens_total{') && key.includes(`source="${source}"`),
      )!;
      return after.get(name)! - before.get(name)!;
    };
    expect(Object.fromEntries(DRAFT_SOURCES.map((source) => [source, grown(source)]))).toEqual(told);
    expect(told.lookup).toBeGreaterThan(0);
  });
});

describe('a coordinator whose DRAFT_ENDPOINT is empty', () => {
  it('is ready, shows its one model, and misses nothing', async () => {
    const url = withoutDraft.url;
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const cards = (await (await fetch(`${url}/v1/model`)).json()) as { target: object; draft: null };
    expect(cards.draft).toBeNull();
    const models = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(models.data.map(({ id }) => id)).toEqual(['tiny-target']);
    const answer = await generate(url, { ...greedy, prompt: PROMPTS[0] });
    expect(speculationOf(answer).num_degraded_rounds).toBe(0);
    expect(speculationOf(answer).by_source.draft.num_drafts).toBe(0);
    const samples = await scrape(url);
    expect(sumOf(samples, 'forerunner_degraded')).toBe(0);
    expect(sumOf(samples, 'forerunner_degraded_seconds_total')).toBe(0);
    expect(sumOf(samples, 'forerunner_degraded_rounds_total')).toBe(0);
    expect(withoutDraft.log).toBe(''); // no warning
  });
});
