/** Prompts that come again, over the real services: the same texts with and without reuse, whatever was lost in between. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trainTinyFeatureDraft } from '@forerunner/model-tools';
import { type Answer, freePort, generate, ServiceProcess, scrape, sumOf } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf, generateKey } from '../../src/access/key-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'forerunner-prefix-trio-'));
const targetDir = join(import.meta.dirname, '..', '..', '..', '..', 'models', 'tiny-target');
const services: ServiceProcess[] = [];

async function start(name: ServiceProcess['name'], env: Record<string, string>): Promise<ServiceProcess> {
  const service = new ServiceProcess(name, await freePort(), { LOG_LEVEL: 'warn', ...env });
  services.push(service);
  await service.start();
  return service;
}
const startCoordinator = (target: ServiceProcess, draft: ServiceProcess, env: Record<string, string> = {}) =>
  start('speculative-coordinator', {
    MODEL_SIZE: 'tiny',
    TARGET_ENDPOINT: target.url,
    DRAFT_ENDPOINT: draft.url,
    DRAFT_TIMEOUT_MS: '2000',
    PEER_CHECK_INTERVAL_MS: '100',
    DEFAULT_DRAFT_TOKENS: '4',
    ...env,
  });

let target: ServiceProcess;
let forgetful: ServiceProcess;
const drafts = {} as Record<'classic' | 'feature', ServiceProcess>;
const coordinators = {} as Record<'classic' | 'feature' | 'reference', ServiceProcess>;

beforeAll(async () => {
  await trainTinyFeatureDraft(targetDir, directory);
  [target, forgetful, drafts.classic, drafts.feature] = await Promise.all([
    start('target-service', { MODEL_SIZE: 'tiny' }),
    start('target-service', { MODEL_SIZE: 'tiny', PREFIX_CACHE: 'false' }),
    start('draft-service', { MODEL_SIZE: 'tiny-draft' }),
    start('draft-service', { MODEL_SIZE: 'tiny-draft', MODEL_DIR: directory }),
  ]);
  [coordinators.classic, coordinators.feature, coordinators.reference] = await Promise.all([
    startCoordinator(target, drafts.classic),
    startCoordinator(target, drafts.feature),
    startCoordinator(forgetful, drafts.classic),
  ]);
}, 120_000);
afterAll(async () => {
  await Promise.all(services.map((service) => service.end('SIGKILL')));
  rmSync(directory, { recursive: true, force: true });
});

const WORDS = 'the cat sat on the mat and looked at a dog that ran over the hill to the old mill by the river'.split(
  ' ',
);
const textOf = (seed: number, numWords: number) =>
  Array.from({ length: numWords }, (_, i) => WORDS[(seed * 7 + i * i + 3 * i) % WORDS.length]).join(' ');
const greedy = { temperature: 0, max_new_tokens: 24, ignore_eos: true };
const ask = (kind: keyof typeof coordinators, prompt: string, more: object = {}) =>
  generate(coordinators[kind].url, { ...greedy, prompt, ...more });
const withoutReuse = (prompt: string) => ask('reference', prompt, { speculative: false });
const cachedTokens = ({ usage }: Answer) => usage.prompt_tokens_details.cached_tokens;

describe.each(['classic', 'feature'] as const)('with a %s draft', (kind) => {
  const salt = kind === 'classic' ? 100 : 200;

  it('the same prompt is reused whole, with the same guesses accepted, and says the same', async () => {
    const prompt = textOf(salt, 60);
    const first = await ask(kind, prompt);
    expect(cachedTokens(first)).toBe(0);
    const again = [await ask(kind, prompt), await ask(kind, prompt)];
    for (const answer of again) {
      expect(cachedTokens(answer)).toBe(answer.usage.prompt_tokens - 1);
      expect(answer.token_ids).toEqual(first.token_ids);
      expect(answer.metrics.speculative_decoding.num_accepted_tokens).toBe(
        first.metrics.speculative_decoding.num_accepted_tokens,
      );
    }
    expect(first.token_ids).toEqual((await withoutReuse(prompt)).token_ids);
    expect(first.metrics.speculative_decoding.num_accepted_tokens).toBeGreaterThan(0);
  });

  it('a chat that grows says what it says without reuse, and the draft reuses what the target does', async () => {
    const before = await scrape(drafts[kind].url);
    let prompt = textOf(salt + 1, 50);
    for (let turn = 0; turn < 4; turn++) {
      const answer = await ask(kind, prompt);
      expect(answer.token_ids).toEqual((await withoutReuse(prompt)).token_ids);
      if (turn > 0) expect(cachedTokens(answer)).toBeGreaterThan(answer.usage.prompt_tokens * 0.6);
      prompt += `${answer.text} ${textOf(salt + turn, 5)}`;
    }
    const after = await scrape(drafts[kind].url);
    const grown = (name: string) => sumOf(after, name) - sumOf(before, name);
    expect(grown('prefix_cache_hits_total')).toBeGreaterThan(0.4 * grown('prefix_cache_queries_total'));
  });

  it('killing the draft in between, or in the middle, changes no token', async () => {
    const prompt = textOf(salt + 2, 60);
    const expected = (await withoutReuse(prompt)).token_ids;
    await ask(kind, prompt);
    await drafts[kind].end('SIGKILL');
    expect((await ask(kind, prompt)).token_ids).toEqual(expected);
    await drafts[kind].start();
    // The target kept what the draft lost: a feature draft begins in the middle of the text.
    let accepted = 0;
    for (let i = 0; i < 40 && accepted === 0; i++) {
      const answer = await ask(kind, prompt);
      expect(answer.token_ids).toEqual(expected);
      accepted = answer.metrics.speculative_decoding.num_accepted_tokens;
    }
    expect(accepted).toBeGreaterThan(0);
    const underWay = Promise.all([1, 2, 3].map(() => ask(kind, prompt)));
    await drafts[kind].end('SIGKILL');
    for (const answer of await underWay) expect(answer.token_ids).toEqual(expected);
    await drafts[kind].start();
  });
});

describe('evictions', () => {
  it.each(['classic', 'feature'] as const)('change no token, with a %s draft', async (kind) => {
    const small = await start('target-service', { MODEL_SIZE: 'tiny', KV_CACHE_MB: '1' });
    const draft = await start('draft-service', {
      MODEL_SIZE: 'tiny-draft',
      KV_CACHE_MB: '1',
      ...(kind === 'feature' && { MODEL_DIR: directory }),
    });
    // A window that holds less than the prompts, too.
    const coordinator = await startCoordinator(small, draft, { HIDDEN_STATE_WINDOW_KIB: '8' });
    for (let i = 0; i < 30; i++) {
      const prompt = textOf(300 + ((i * 5) % 13), 140 + 10 * (i % 3));
      const answer = await generate(coordinator.url, { ...greedy, prompt });
      expect(answer.token_ids).toEqual((await withoutReuse(prompt)).token_ids);
    }
    const evicted = sumOf(await scrape(small.url), 'forerunner_kv_evictions_total');
    expect(evicted).toBeGreaterThan(0);
    await Promise.all([coordinator, draft, small].map((service) => service.end('SIGKILL')));
  });
});

describe('API keys', () => {
  const keys = { alice: generateKey(), bob: generateKey() };
  let coordinator: ServiceProcess;
  beforeAll(async () => {
    const API_KEYS_FILE = join(directory, 'keys.json');
    const entries = Object.entries(keys).map(([name, key]) => ({ name, sha256: digestOf(key).toString('hex') }));
    writeFileSync(API_KEYS_FILE, JSON.stringify({ keys: entries }));
    coordinator = await startCoordinator(target, drafts.feature, { API_KEYS_FILE });
  });

  const askAs = async (name: keyof typeof keys, prompt: string, more: object = {}) => {
    const reply = await fetch(`${coordinator.url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${keys[name]}` },
      body: JSON.stringify({ ...greedy, prompt, return_token_ids: true, ...more }),
    });
    return (await reply.json()) as Answer;
  };

  it('share no prefix with each other, and each has its own again', async () => {
    const prompt = textOf(400, 60);
    const hits = async () => sumOf(await scrape(drafts.feature.url), 'prefix_cache_hits_total');
    const [first, numHits] = [await askAs('alice', prompt), await hits()];
    const other = await askAs('bob', prompt);
    expect([cachedTokens(first), cachedTokens(other)]).toEqual([0, 0]);
    expect(await hits()).toBe(numHits); // nor does the draft
    for (const name of ['alice', 'bob'] as const) {
      const again = await askAs(name, prompt);
      expect(cachedTokens(again)).toBe(again.usage.prompt_tokens - 1);
      expect(again.token_ids).toEqual(first.token_ids);
    }
    expect(await hits()).toBeGreaterThan(numHits);
  });

  it("cannot tell by the clock what another key's prompts were; the key that sent them can", async () => {
    const NUM_PAIRS = 160;
    const MANY = 108; // of so many pairs: by chance once in 180,000 runs (sign test, binomial tail)
    const promptOf = (kind: string, i: number) => `${kind} ${i}: ${textOf(500 + i, 150)}`;
    /** In how many pairs a prompt that alice had sent was answered sooner than one that nobody had. */
    const timesFaster = async (who: keyof typeof keys) => {
      const ms = async (prompt: string) => {
        const startedMs = performance.now();
        await askAs(who, prompt, { max_new_tokens: 1, speculative: false });
        return performance.now() - startedMs;
      };
      let numFaster = 0;
      for (let i = 0; i < NUM_PAIRS; i++) {
        const [sent, unsent] = [promptOf(`sent, ${who}`, i), promptOf(`kept, ${who}`, i)];
        await askAs('alice', sent, { max_new_tokens: 1, speculative: false });
        const [first, second] = i % 2 === 0 ? [sent, unsent] : [unsent, sent];
        const [firstMs, secondMs] = [await ms(first), await ms(second)];
        if (firstMs < secondMs === (first === sent)) numFaster++;
      }
      return numFaster;
    };
    const [bob, alice] = [await timesFaster('bob'), await timesFaster('alice')];
    expect(bob).toBeLessThan(MANY);
    expect(alice).toBeGreaterThanOrEqual(MANY);
  });
});
