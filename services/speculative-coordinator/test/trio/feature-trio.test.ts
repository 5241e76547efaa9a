/** The trio with a draft that reads the target's hidden states: a small one, trained here in seconds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trainTinyFeatureDraft } from '@forerunner/model-tools';
import {
  type Answer,
  freePort,
  generate,
  ServiceProcess,
  scrape,
  startTrio,
  streamEvents,
  TINY_TARGET_DIR,
  type Trio,
} from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const draftDir = mkdtempSync(join(tmpdir(), 'forerunner-feature-draft-'));
let trio: Trio;
let url: string;

beforeAll(async () => {
  await trainTinyFeatureDraft(TINY_TARGET_DIR, draftDir);
  trio = await startTrio({
    target: 'tiny',
    draft: 'tiny-draft',
    draftEnv: { MODEL_DIR: draftDir },
    coordinatorEnv: { DRAFT_TIMEOUT_MS: '2000' },
  });
  url = trio.coordinator.url;
});
afterAll(async () => {
  await trio?.stop();
  rmSync(draftDir, { recursive: true, force: true });
});

const greedy = {
  draft_k: 4,
  prompt_lookup: false,
  prompt: 'Once upon a time',
  temperature: 0,
  max_new_tokens: 60,
  ignore_eos: true,
};
/** Hidden states of 64 hidden units in float16. */
const ROW_BYTES = 2 * 64;
const alone = (body: object) => generate(url, { ...body, speculative: false });

describe('a trio with a feature draft', () => {
  it.each([1, 2, 3, 5])('says greedily what the target alone says, for draft_k = %i', async (draft_k) => {
    let accepted = 0;
    for (const prompt of ['Once upon a time', 'The', 'She said: "', 'a b c d e f g h i j k']) {
      const answer = await generate(url, { ...greedy, prompt, draft_k });
      expect(answer.token_ids).toEqual((await alone({ ...greedy, prompt })).token_ids);
      expect(answer.metrics.speculative_decoding.num_degraded_rounds).toBe(0);
      accepted += answer.metrics.speculative_decoding.num_accepted_tokens;
    }
    expect(accepted).toBeGreaterThan(20);
  });

  it('repeats a sampled answer for its seed', async () => {
    const body = { prompt: 'A', max_new_tokens: 40, temperature: 0.9, seed: 4, ignore_eos: true };
    expect((await generate(url, body)).token_ids).toEqual((await generate(url, body)).token_ids);
  });

  it('says the same after a long prompt, of which the draft gets only the end', async () => {
    const prompt = 'the cat sat on the mat and looked at the dog '.repeat(8);
    const body = { ...greedy, prompt };
    expect((await generate(url, body)).token_ids).toEqual((await alone(body)).token_ids);
  });

  it('changes no token when the draft is killed and started again in mid-stream', async () => {
    const body = { ...greedy, max_new_tokens: 400 };
    const expected = (await alone(body)).token_ids;
    const tokenIds: number[] = [];
    let summary: Answer | undefined;
    let restarted: Promise<void> | undefined;
    for await (const { data } of streamEvents(url, body)) {
      const round = data as Answer;
      if (round.metrics) summary = round;
      else tokenIds.push(...(round.token_ids ?? []));
      if (!restarted && tokenIds.length > 10) {
        await trio.draft.end('SIGKILL');
        restarted = trio.draft.start();
      }
    }
    await restarted;
    while ((await generate(url, greedy)).metrics.speculative_decoding.num_draft_tokens === 0); // it is back
    expect(tokenIds).toEqual(expected);
    expect(summary?.metrics.speculative_decoding.num_degraded_rounds).toBeGreaterThan(0);
  });

  it('says in its metrics what the hidden states cost, beside a draft of the same target that reads none', async () => {
    const draft = new ServiceProcess('draft-service', await freePort(), { MODEL_SIZE: 'tiny-draft' });
    const coordinator = new ServiceProcess('speculative-coordinator', await freePort(), {
      MODEL_SIZE: 'tiny',
      DRAFT_ENDPOINT: draft.url,
      TARGET_ENDPOINT: trio.target.url,
    });
    try {
      await draft.start();
      await coordinator.start();
      const [featured, classic] = [await trafficOf(url), await trafficOf(coordinator.url)];
      /** Bytes beyond what as many rounds take that carry headers and ids alone. */
      const extra = (key: 'fromTarget' | 'toDraft') =>
        featured[key] - (classic[key] / classic.numRounds) * featured.numRounds;
      const numScoredRows = featured.numPromptTokens + featured.numDraftTokens + featured.numRounds;
      const numDraftRows = featured.numPromptTokens + greedy.max_new_tokens - 1; // nothing follows the last token
      for (const share of [
        extra('fromTarget') / (ROW_BYTES * numScoredRows),
        extra('toDraft') / (ROW_BYTES * numDraftRows),
      ]) {
        expect(share).toBeGreaterThan(0.8);
        expect(share).toBeLessThan(1.2);
      }
    } finally {
      await Promise.all([draft.end('SIGKILL'), coordinator.end('SIGKILL')]);
    }
  });
});

/** What one greedy answer moves between the coordinator and its peers. */
async function trafficOf(coordinatorUrl: string) {
  const before = await scrape(coordinatorUrl);
  const { metrics, usage } = await generate(coordinatorUrl, { ...greedy, draft_k: 5 });
  const after = await scrape(coordinatorUrl);
  const bytes = (labels: string) => {
    const [key] = [...after.keys()].filter((name) => name.startsWith(`forerunner_peer_bytes_total{${labels}`));
    return after.get(key!)! - (before.get(key!) ?? 0);
  };
  const { num_rounds: numRounds, num_draft_tokens: numDraftTokens } = metrics.speculative_decoding;
  return {
    fromTarget: bytes('peer="target",direction="received"'),
    toDraft: bytes('peer="draft",direction="sent"'),
    numRounds,
    numDraftTokens,
    numPromptTokens: usage.prompt_tokens,
  };
}
