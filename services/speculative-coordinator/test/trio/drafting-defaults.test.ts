/** How long proposals are where a request is silent, and where it is not: on the tiny pair, through HTTP. */
import { type Answer, startTrio, type Trio } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let trio: Trio;

beforeAll(async () => {
  trio = await startTrio({
    target: 'tiny',
    draft: 'tiny-draft',
    // No token has a probability of 1, so that each of these proposals ends after its first.
    coordinatorEnv: {
      DEFAULT_DRAFT_TOKENS: '4',
      DEFAULT_MIN_CONFIDENCE: '1',
      DRAFT_TIMEOUT_MS: '10000',
      PROMPT_LOOKUP: 'false',
    },
  });
});
afterAll(() => trio?.stop());

const text = { prompt: 'Once upon a time', temperature: 0 };
const bodies: Record<string, (drafting: object) => object> = {
  '/generate': (drafting) => ({ ...text, max_new_tokens: 40, ignore_eos: true, ...drafting }),
  '/v1/completions': (drafting) => ({ ...text, max_tokens: 40, ignore_eos: true, forerunner: drafting }),
};

/** Of one answer: how long its longest proposal was. */
async function longestProposal(route: string, drafting: object): Promise<number> {
  const reply = await fetch(`${trio.coordinator.url}${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(bodies[route]!(drafting)),
  });
  const { metrics } = (await reply.json()) as Pick<Answer, 'metrics'>;
  return metrics.speculative_decoding.num_draft_tokens_per_pos.length;
}

describe.each(Object.keys(bodies))('a request to %s', (route) => {
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
