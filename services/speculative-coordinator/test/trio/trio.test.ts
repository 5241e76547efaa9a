/** The whole trio as processes, on the tiny pair, used through HTTP as a user would, faults included. */
import { readFileSync } from 'node:fs';
import {
  type Answer,
  freePort,
  generate,
  postGenerate,
  ServiceProcess,
  scrape,
  startTrio,
  streamEvents,
  sumOf,
  type Trio,
} from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

let trio: Trio;
let url: string;

beforeAll(async () => {
  vi.stubEnv('ORT_DISABLE_TELEMETRY', undefined); // of this process: the services must be told by their own launch
  trio = await startTrio({
    target: 'tiny',
    draft: 'tiny-draft',
    env: { LOG_LEVEL: 'debug' },
    coordinatorEnv: { DRAFT_TIMEOUT_MS: '2000', MAX_DRAFT_TOKENS: '8', DEFAULT_DRAFT_TOKENS: '4' },
  });
  url = trio.coordinator.url;
});
afterAll(async () => {
  await trio?.stop();
  vi.unstubAllEnvs();
});

const REQUESTS = 'forerunner_http_requests_total';
const greedy = { prompt: 'Once upon a time', temperature: 0, max_new_tokens: 60, ignore_eos: true };
const alone = (body: object) => generate(url, { ...body, speculative: false });

async function eventually(condition: () => Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it never happened');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const holdsNothing = async () =>
  sumOf(await scrape(trio.target.url), 'forerunner_sequences') === 0 &&
  sumOf(await scrape(trio.draft.url), 'forerunner_sequences') === 0;

describe('POST /generate', () => {
  it('answers with text, usage and what speculation did', async () => {
    const answer = await generate(url, { prompt: 'The cat', max_new_tokens: 30, ignore_eos: true, seed: 7 });
    expect(answer.text.length).toBeGreaterThan(0);
    expect(answer.usage.completion_tokens).toBe(30);
    expect(answer.finish_reason).toBe('length');
    const s = answer.metrics.speculative_decoding;
    expect(s.num_drafts).toBeGreaterThan(0);
    expect(s.mean_acceptance_length).toBeCloseTo(1 + s.num_accepted_tokens / s.num_drafts, 3);
    expect(s.num_degraded_rounds).toBe(0);
  });

  it('makes its calls over channels, without HTTP around each', async () => {
    const count = async (route: string, service: { url: string }) => {
      const samples = [...(await scrape(service.url))].filter(([key]) => key.includes(`route="${route}"`));
      const by = (method: string) => sumOf(new Map(samples.filter(([key]) => key.includes(`"${method}"`))), REQUESTS);
      return [by('CHANNEL'), by('POST')];
    };
    const [before] = await count('/v1/score', trio.target);
    const { metrics } = await generate(url, greedy);
    const [after, byHttp] = await count('/v1/score', trio.target);
    expect(after! - before!).toBe(1 + metrics.speculative_decoding.num_rounds); // the prompt's pass, and the rounds
    expect(byHttp).toBe(0);
    const [proposed, proposedByHttp] = await count('/v1/propose', trio.draft);
    expect(proposed).toBeGreaterThan(0);
    expect(proposedByHttp).toBe(0);
  });

  it.each([1, 2, 3, 5, 8])('says greedily what the target alone says, for draft_k = %i', async (draft_k) => {
    for (const prompt of ['Once upon a time', 'The', 'She said: "', '1 2 3']) {
      const body = { ...greedy, prompt };
      expect((await generate(url, { ...body, draft_k })).token_ids).toEqual((await alone(body)).token_ids);
    }
  });

  it('repeats a sampled answer for its seed', async () => {
    const body = { prompt: 'A', max_new_tokens: 40, temperature: 0.9, top_p: 0.95, ignore_eos: true };
    const first = await generate(url, { ...body, seed: 11 });
    expect((await generate(url, { ...body, seed: 11 })).token_ids).toEqual(first.token_ids);
    expect((await generate(url, { ...body, seed: 12 })).token_ids).not.toEqual(first.token_ids);
    expect((await generate(url, { ...body, seed: first.seed })).token_ids).toEqual(first.token_ids);
  });

  it('streams the same text in pieces, and ends with the summary and [DONE]', async () => {
    const whole = await generate(url, greedy);
    const events = [];
    for await (const event of streamEvents(url, greedy)) events.push(event);
    expect(events.at(-1)?.data).toBe('[DONE]');
    const summary = events.at(-2)?.data as Answer;
    expect(summary.finish_reason).toBe('length');
    const rounds = events.slice(0, -2).map((event) => event.data as Answer);
    expect(rounds.map((round) => round.text).join('')).toBe(whole.text);
    expect(rounds.flatMap((round) => round.token_ids)).toEqual(whole.token_ids);
    expect(rounds.length).toBeLessThan(60); // rounds emitted several tokens
  });

  it('keeps many answers apart that run at once', async () => {
    const prompts = Array.from({ length: 10 }, (_, i) => `Number ${i} is`);
    const expected = [];
    for (const prompt of prompts) expected.push((await alone({ ...greedy, prompt })).token_ids);
    const together = await Promise.all(prompts.map((prompt) => generate(url, { ...greedy, prompt })));
    expect(together.map((answer) => answer.token_ids)).toEqual(expected);
  });

  it('counts in its metrics what its replies say', async () => {
    const before = await scrape(url);
    let [drafts, drafted, accepted, emitted] = [0, 0, 0, 0];
    for (let seed = 0; seed < 5; seed++) {
      const answer = await generate(url, { prompt: 'Then', seed, max_new_tokens: 25 });
      const s = answer.metrics.speculative_decoding;
      drafts += s.num_drafts;
      drafted += s.num_draft_tokens;
      accepted += s.num_accepted_tokens;
      emitted += answer.usage.completion_tokens;
    }
    const after = await scrape(url);
    const grown = (name: string) => sumOf(after, name) - sumOf(before, name);
    expect(grown('spec_decode_num_drafts_total')).toBe(drafts);
    expect(grown('spec_decode_num_draft_tokens_total')).toBe(drafted);
    expect(grown('spec_decode_num_accepted_tokens_total')).toBe(accepted);
    expect(grown('spec_decode_num_accepted_tokens_per_pos_total')).toBe(accepted);
    expect(grown('forerunner_generated_tokens_total')).toBe(emitted);
  });
});

describe('bad input', () => {
  const huge = 'word '.repeat(600);
  it.each([
    ['an empty prompt', { prompt: '' }, 400, 'invalid_request'],
    ['neither prompt nor messages', {}, 400, 'invalid_request'],
    ['both', { prompt: 'a', messages: [{ role: 'user', content: 'b' }] }, 400, 'invalid_request'],
    ['a chat for a model without a template', { messages: [{ role: 'user', content: 'b' }] }, 400, 'invalid_request'],
    ['a wrong type', { prompt: 7 }, 400, 'invalid_request'],
    ['a negative length', { prompt: 'a', max_new_tokens: -1 }, 400, 'invalid_request'],
    ['a huge number', { prompt: 'a', temperature: 1e308 }, 400, 'invalid_request'],
    ['a draft_k over the limit', { prompt: 'a', draft_k: 9 }, 400, 'invalid_request'],
    ['a prompt longer than the context', { prompt: huge }, 400, 'context_length_exceeded'],
    ['too many new tokens for the context', { prompt: 'a', max_new_tokens: 600 }, 400, 'context_length_exceeded'],
    ['an unknown field', { prompt: 'a', best_of: 3 }, 400, 'unknown_field'],
    ['a bias for a token that is not there', { prompt: 'a', logit_bias: { 5000: 1 } }, 400, 'token_out_of_range'],
    ['an unknown verification rule', { prompt: 'a', verification: 'hope' }, 400, 'invalid_request'],
  ])('with %s is refused', async (_what, body, status, code) => {
    const reply = await postGenerate(url, body);
    expect(reply.status).toBe(status);
    const { error } = (await reply.json()) as { error: { code: string; message: string; request_id: string } };
    expect(error.code).toBe(code);
    expect(error.request_id).toBe(reply.headers.get('x-request-id'));
    expect(error.message.length).toBeGreaterThan(10);
  });

  it('leaves nothing behind', async () => {
    await eventually(holdsNothing);
  });
});

describe('a client that goes away', () => {
  it('frees both sides within a moment', async () => {
    const controller = new AbortController();
    let events = 0;
    await expect(async () => {
      for await (const _ of streamEvents(url, { ...greedy, max_new_tokens: 400 }, controller.signal)) {
        if (++events === 3) controller.abort();
      }
    }).rejects.toThrow();
    await eventually(holdsNothing);
    await eventually(async () => {
      const samples = await scrape(url);
      return [...samples].some(([key, value]) => key.includes('outcome="cancelled"') && value > 0);
    });
  });
});

describe('faults', () => {
  /** Streams a greedy answer and does something once, after its third event. */
  async function streamWith(action: () => Promise<void> | void, body: object = { ...greedy, max_new_tokens: 200 }) {
    const tokenIds: number[] = [];
    let summary: Answer | null = null;
    let events = 0;
    for await (const { data } of streamEvents(url, body)) {
      if (data === '[DONE]') break;
      const round = data as Answer;
      if (round.metrics) summary = round;
      else tokenIds.push(...round.token_ids);
      if (++events === 3) await action();
    }
    return { tokenIds, summary: summary! };
  }

  it('kill -9 of the draft in mid-stream changes no token, and it comes back', async () => {
    const expected = (await alone({ ...greedy, max_new_tokens: 200 })).token_ids;
    const { tokenIds, summary } = await streamWith(async () => {
      await trio.draft.end('SIGKILL');
    });
    expect(tokenIds).toEqual(expected);
    expect(summary.metrics.speculative_decoding.num_degraded_rounds).toBeGreaterThan(0);
    expect(sumOf(await scrape(url), 'forerunner_degraded')).toBe(1);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);

    await trio.draft.start();
    await eventually(async () => {
      const answer = await generate(url, { ...greedy, prompt_lookup: false });
      return answer.metrics.speculative_decoding.num_draft_tokens > 0;
    });
    expect(sumOf(await scrape(url), 'forerunner_degraded')).toBe(0);
  });

  it('a draft that hangs is given up in time, and changes no token', async () => {
    const expected = (await alone({ ...greedy, max_new_tokens: 200 })).token_ids;
    try {
      const { tokenIds } = await streamWith(() => trio.draft.signal('SIGSTOP'));
      expect(tokenIds).toEqual(expected);
    } finally {
      trio.draft.signal('SIGCONT');
    }
    await eventually(async () => (await generate(url, greedy)).metrics.speculative_decoding.num_draft_tokens > 0);
  });

  it('kill -9 of the target between requests is a clear 503, and it comes back', async () => {
    const expected = (await alone(greedy)).token_ids;
    await trio.target.end('SIGKILL');
    const reply = await postGenerate(url, greedy);
    expect(reply.status).toBe(503);
    expect(reply.headers.get('retry-after')).not.toBeNull();
    expect(await reply.json()).toMatchObject({ error: { code: 'target_unavailable' } });
    await eventually(async () => (await fetch(`${url}/readyz`)).status === 503);

    await trio.target.start();
    await eventually(async () => (await fetch(`${url}/readyz`)).status === 200);
    expect((await generate(url, greedy)).token_ids).toEqual(expected);
  });

  it('kill -9 of the target in mid-stream ends the stream with an error event', async () => {
    const events: { event: string | undefined; data: unknown }[] = [];
    for await (const event of streamEvents(url, { ...greedy, max_new_tokens: 400 })) {
      events.push(event);
      if (events.length === 3) await trio.target.end('SIGKILL');
    }
    expect(events.at(-1)).toMatchObject({ event: 'error', data: { error: { code: 'target_unavailable' } } });
    await trio.target.start();
    await eventually(async () => (await fetch(`${url}/readyz`)).status === 200);
  });

  it('kill -9 of one of two targets in mid-stream changes no token', async () => {
    const second = new ServiceProcess('target-service', await freePort(), { MODEL_SIZE: 'tiny', LOG_LEVEL: 'warn' });
    const coordinator = new ServiceProcess('speculative-coordinator', await freePort(), {
      MODEL_SIZE: 'tiny',
      DRAFT_ENDPOINT: trio.draft.url,
      TARGET_ENDPOINT: `${second.url},${trio.target.url}`,
    });
    try {
      await second.start();
      await coordinator.start();
      const body = { ...greedy, max_new_tokens: 300 };
      const expected = (await alone(body)).token_ids;
      const tokenIds: number[] = [];
      const isBusy = async (target: ServiceProcess) => sumOf(await scrape(target.url), 'forerunner_sequences') > 0;
      let killed: ServiceProcess | undefined;
      for await (const { data } of streamEvents(coordinator.url, body)) {
        const round = data as Answer;
        tokenIds.push(...(round.token_ids ?? []));
        if (killed) continue;
        killed = (await isBusy(second)) ? second : trio.target; // whichever the prompt belongs to
        await killed.end('SIGKILL');
        expect(tokenIds.length).toBeLessThan(100);
      }
      expect(tokenIds).toEqual(expected);
      if (killed === trio.target) {
        await trio.target.start();
        await eventually(async () => (await fetch(`${url}/readyz`)).status === 200);
      }
    } finally {
      await Promise.all([second.end('SIGKILL'), coordinator.end('SIGKILL')]);
    }
  });
});

describe('the processes', () => {
  it('that run models start with telemetry off', () => {
    for (const service of [trio.draft, trio.target]) {
      const environment = readFileSync(`/proc/${service.pid}/environ`, 'utf8').split('\0');
      expect(environment).toContain('ORT_DISABLE_TELEMETRY=1');
    }
  });

  it('never log a prompt', async () => {
    const secret = 'the password is swordfish';
    await generate(url, { prompt: secret, max_new_tokens: 5 });
    for (const service of [trio.draft, trio.target, trio.coordinator]) {
      expect(service.log).not.toContain('swordfish');
      expect(service.log.length).toBeGreaterThan(0);
    }
  });

  it('carry one request id through all three services', async () => {
    const requestId = 'trace-me-1234';
    await fetch(`${url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': requestId },
      body: JSON.stringify({ prompt: 'x', max_new_tokens: 5 }),
    });
    for (const service of [trio.draft, trio.target, trio.coordinator]) {
      await eventually(async () => service.log.includes(requestId));
    }
  });

  it('end with exit code 0 after the answer under way, on SIGTERM', async () => {
    const answer = generate(url, { ...greedy, max_new_tokens: 300 });
    await eventually(async () => sumOf(await scrape(url), 'forerunner_requests_running') === 1);
    const ended = trio.coordinator.end('SIGTERM');
    expect((await answer).usage.completion_tokens).toBe(300);
    expect(await ended).toBe(0);
    expect(await Promise.all([trio.draft.end(), trio.target.end()])).toEqual([0, 0]);
  });
});
