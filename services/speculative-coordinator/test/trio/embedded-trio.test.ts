/** The draft within the coordinator's process: the same answers, no calls to a draft-service, and a death that changes none. */
import { EmbeddedDraft } from '@forerunner/draft-service/embedded';
import { createLogger, createRegistry, readConfig } from '@forerunner/service-kit';
import {
  type Answer,
  freePort,
  generate,
  ServiceProcess,
  scrape,
  startTrio,
  sumOf,
  TINY_TARGET_DIR,
  type Trio,
} from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { buildCoordinator } from '../../src/app.ts';
import { coordinatorSettings } from '../../src/config.ts';

const KINDS = [
  { temperature: 0 },
  { temperature: 0.8, seed: 11 },
  { temperature: 1, seed: 12, verification: 'rejection' },
] as const;
const common = { prompt: 'Once upon a time', max_new_tokens: 60, ignore_eos: true, draft_k: 3, prompt_lookup: false };
const pair = { target: 'tiny', draft: 'tiny-draft', coordinatorEnv: { DRAFT_TIMEOUT_MS: '5000' } };

describe('a draft in the process of the coordinator', () => {
  let separate: Trio;
  let embedded: Trio;
  beforeAll(async () => {
    separate = await startTrio(pair);
    embedded = await startTrio({ ...pair, embedsDraft: true });
  });
  afterAll(() => Promise.all([separate?.stop(), embedded?.stop()]));

  it.each(KINDS)('guesses what a draft-service guesses, and answers the same: %o', async (kind) => {
    const [there, here] = await Promise.all(
      [separate, embedded].map(({ coordinator }) => generate(coordinator.url, { ...common, ...kind })),
    );
    expect(here!.token_ids).toEqual(there!.token_ids);
    const counts = (answer: Answer) => answer.metrics.speculative_decoding;
    expect(counts(here!)).toEqual(counts(there!));
    expect(counts(here!).num_accepted_tokens).toBeGreaterThan(0);
    if (kind.temperature === 0) {
      const alone = await generate(embedded.coordinator.url, { ...common, ...kind, speculative: false });
      expect(here!.token_ids).toEqual(alone.token_ids);
    }
  });

  it('shows its card and its passes where the coordinator shows its own, and sends nothing to a service', async () => {
    const { url } = embedded.coordinator;
    const cards = (await (await fetch(`${url}/v1/model`)).json()) as { draft: unknown };
    expect(cards.draft).toMatchObject({ service: 'draft-service', model_id: 'tiny-draft' });
    const samples = await scrape(url);
    expect(sumOf(samples, 'forerunner_model_pass_seconds_count')).toBeGreaterThan(0);
    expect(sumOf(samples, 'forerunner_degraded')).toBe(0);
    const parts = [...samples].filter(
      ([key, value]) => key.startsWith('forerunner_round_part_seconds_total') && value > 0,
    );
    expect(parts.map(([key]) => /part="(\w+)"/.exec(key)![1])).toContain('draft_model');
    const traffic = [...samples.keys()].filter((key) => key.startsWith('forerunner_peer_bytes_total'));
    expect(traffic.filter((key) => key.includes('peer="target"'))).not.toEqual([]);
    expect(traffic.filter((key) => key.includes('peer="draft"'))).toEqual([]);
  });
});

describe('a draft whose thread dies within the coordinator, again and again', () => {
  it('changes no token of an answer under way, and is used again', async () => {
    const target = new ServiceProcess('target-service', await freePort(), { MODEL_SIZE: 'tiny', LOG_LEVEL: 'silent' });
    await target.start();
    const logger = createLogger('test', 'silent');
    const registry = createRegistry('speculative-coordinator');
    const env = { DRAFT_MODEL_SIZE: 'tiny-draft', DRAFT_ENGINE_THREAD: 'own' };
    const engine = new URL('../../../draft-service/test/crashing-engine.ts', import.meta.url);
    const draft = await EmbeddedDraft.open({ env, logger, registry, engine });
    const config = readConfig(coordinatorSettings, {
      TARGET_ENDPOINT: target.url,
      DRAFT_ENDPOINT: 'embedded',
      PEER_CHECK_INTERVAL_MS: '100',
    });
    const { app, monitor, close } = await buildCoordinator(config, TINY_TARGET_DIR, logger, registry, draft);
    try {
      await monitor.start();
      const url = await app.listen({ host: '127.0.0.1', port: 0 });
      const alone = await generate(url, { ...common, temperature: 0, max_new_tokens: 200, speculative: false });
      const wounded = await generate(url, { ...common, temperature: 0, max_new_tokens: 200 });
      expect(wounded.token_ids).toEqual(alone.token_ids);
      expect((await fetch(`${url}/metrics`)).status).toBe(200); // also while there is no engine to ask
      const { num_drafts, num_degraded_rounds } = wounded.metrics.speculative_decoding;
      expect(num_drafts).toBeGreaterThan(0);
      expect(num_degraded_rounds).toBeGreaterThan(0);
      await vi.waitFor(async () => expect(sumOf(await scrape(url), 'forerunner_degraded')).toBe(1));
      // Once it is open again the next answer is drafted, until it dies in that one, too.
      await vi.waitFor(async () => expect(await draft.card()).toMatchObject({ model_id: 'tiny-draft' }), 10_000);
      await monitor.check();
      const next = await generate(url, { ...common, temperature: 0, max_new_tokens: 40 });
      expect(next.metrics.speculative_decoding.num_drafts).toBeGreaterThan(0);
      expect(next.token_ids).toEqual(alone.token_ids.slice(0, 40));
    } finally {
      await app.close();
      await close();
      await target.end();
    }
  });
});
