/** How long proposals are where a request is silent, and where it is not: on the tiny pair, through HTTP. */
import { generate, startTrio, type Trio } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let trio: Trio;

beforeAll(async () => {
  trio = await startTrio({
    target: 'tiny',
    draft: 'tiny-draft',
    // No token has a probability of 1, so that each of these proposals ends after its first.
    coordinatorEnv: { DEFAULT_DRAFT_TOKENS: '4', DEFAULT_MIN_CONFIDENCE: '1', DRAFT_TIMEOUT_MS: '10000' },
  });
});
afterAll(() => trio?.stop());

const text = { prompt: 'Once upon a time', temperature: 0 };

/** Of one answer on either route: how long its longest proposal was. */
async function longestProposal(route: string, drafting: object): Promise<number> {
  if (route === '/generate') {
    const answer = await generate(trio.coordinator.url, {
      ...text,
      max_new_tokens: 40,
      ignore_eos: true,
      ...drafting,
    });
    return answer.metrics.speculative_decoding.num_draft_tokens_per_pos.length;
  }
  const reply = await fetch(`${trio.coordinator.url}${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...text, max_tokens: 40, forerunner: { ignore_eos: true, ...drafting } }),
  });
  const { metrics } = (await reply.json()) as Pick<Awaited<ReturnType<typeof generate>>, 'metrics'>;
  return metrics.speculative_decoding.num_draft_tokens_per_pos.length;
}

describe.each(['/generate', '/v1/completions'])('a request to %s', (route) => {
  it.each<[string, object, number]>([
    ['says nothing: the settings hold', {}, 1],
    ['names a draft_k: proposals of that length', { draft_k: 3 }, 3],
    ['names a confidence: up to DEFAULT_DRAFT_TOKENS', { min_confidence: 0 }, 4],
    ['names both', { draft_k: 3, min_confidence: 1 }, 1],
    ['wants the target alone', { speculative: false }, 0],
  ])('%s', async (_how, drafting, expected) => {
    expect(await longestProposal(route, drafting)).toBe(expected);
  });
});
