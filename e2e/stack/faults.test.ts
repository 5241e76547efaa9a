/**
 * What clients see when members of the trio are slow, gone or back: nothing, or a clear error. On the tiny pair, with
 * a slowed-down line to the target so that faults fall into the middle of answers.
 */
import { generate, postGenerate, scrape, sumOf } from '@forerunner/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { afterTokens, readStream } from '../support/answers.ts';
import type { Stack } from '../support/stack.ts';
import { startStack } from '../support/start-stack.ts';
import { until } from '../support/until.ts';

const NUM_TOKENS = 120;
/** An answer at temperature 0 has one right text, whatever happens on the way. Guesses are the draft's alone. */
const drafting = { temperature: 0, ignore_eos: true, draft_k: 4, prompt_lookup: false };
const body = { prompt: 'abcdefg', max_new_tokens: NUM_TOKENS, ...drafting };
const short = { ...body, max_new_tokens: 16 };

describe('the trio under faults', () => {
  let stack: Stack;
  let rightTokenIds: number[];

  beforeAll(async () => {
    stack = await startStack('faults');
    rightTokenIds = (await generate(stack.url, { ...body, speculative: false })).token_ids;
    expect(rightTokenIds).toHaveLength(NUM_TOKENS);
  });
  afterAll(() => stack?.close());

  /** Drafting works (again). */
  const drafts = () =>
    until('answers are drafted', async () => {
      const { speculative_decoding } = (await generate(stack.url, short)).metrics;
      return speculative_decoding.num_drafts > 0 && speculative_decoding.num_degraded_rounds === 0;
    });
  const isDegraded = async () => sumOf(await scrape(stack.url), 'forerunner_degraded') === 1;

  /** A slow line to the targets stretches answers, so that faults fall into the middle of them. */
  const slowTargets = async (latencyMs: number) => {
    for (const name of ['target-service', 'target-service-2'] as const)
      await stack.setFault(name, { mode: 'pass', latencyMs });
  };

  /** Starts an answer, lets `fault` happen after some tokens of it, and returns the whole answer. */
  async function midStream(fault: () => Promise<unknown>) {
    await slowTargets(25);
    const { reached, onTokens } = afterTokens(10);
    const stream = readStream(stack.url, body, onTokens);
    await Promise.race([reached, stream]);
    await fault();
    return stream;
  }

  beforeEach(async () => {
    await stack.setFault('draft-service', { mode: 'pass', latencyMs: 2 });
    await slowTargets(5);
    await drafts();
  });

  it('drafts, and says what the target alone says', async () => {
    const answer = await generate(stack.url, body);
    expect(answer.token_ids).toEqual(rightTokenIds);
    expect(answer.metrics.speculative_decoding.num_accepted_tokens).toBeGreaterThan(0);
  });

  it('finishes an answer whose draft is killed, and drafts again when it is back', async () => {
    const answer = await midStream(() => stack.kill('draft-service'));
    expect(answer.tokenIds).toEqual(rightTokenIds);
    expect(answer.isDone).toBe(true);
    expect(answer.summary?.metrics.speculative_decoding.num_degraded_rounds).toBeGreaterThan(0);
    expect(await isDegraded()).toBe(true);
    // While it is gone, new answers are right, too.
    expect((await generate(stack.url, body)).token_ids).toEqual(rightTokenIds);

    await stack.revive('draft-service');
    await drafts();
    expect(await isDegraded()).toBe(false);
  });

  it('finishes an answer whose draft hangs, and drafts again when it goes on', async () => {
    const answer = await midStream(() => stack.pause('draft-service'));
    await stack.resume('draft-service');
    expect(answer.tokenIds).toEqual(rightTokenIds);
    expect(answer.summary?.metrics.speculative_decoding.num_degraded_rounds).toBeGreaterThan(0);
    await drafts();
  });

  it('finishes an answer whose draft is cut off the network, and drafts again when it is joined', async () => {
    const answer = await midStream(() => stack.disconnect('draft-service'));
    await stack.reconnect('draft-service');
    expect(answer.tokenIds).toEqual(rightTokenIds);
    expect(answer.summary?.metrics.speculative_decoding.num_degraded_rounds).toBeGreaterThan(0);
    await drafts();
  });

  it('goes back to drafting within the same answer', async () => {
    const answer = await midStream(async () => {
      await stack.setFault('draft-service', { mode: 'reset' });
      await until('the draft is missed', isDegraded);
      await stack.setFault('draft-service', { mode: 'pass' });
    });
    expect(answer.tokenIds).toEqual(rightTokenIds);
    const rounds = answer.numDraftTokens.map((count) => (count > 0 ? 'd' : '-')).join('');
    expect(rounds).toMatch(/d-+d/);
  });

  it('keeps the answer right on a slow line to the draft', async () => {
    await stack.setFault('draft-service', { latencyMs: 60 });
    const answer = await generate(stack.url, { ...body, max_new_tokens: 60 });
    expect(answer.token_ids).toEqual(rightTokenIds.slice(0, 60));
  });

  it('does not wait for a draft that swallows everything', async () => {
    await stack.setFault('draft-service', { mode: 'blackhole' });
    const started = performance.now();
    const answer = await generate(stack.url, body);
    expect(answer.token_ids).toEqual(rightTokenIds);
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  describe('of the target', () => {
    afterEach(async () => {
      await until('the coordinator is ready', async () => (await fetch(`${stack.url}/readyz`)).ok);
    });

    /** The replica that works on the answer under way. */
    const busyTarget = async () => {
      for (const name of ['target-service', 'target-service-2'] as const) {
        if (sumOf(await scrape(stack.urlOf(name)), 'forerunner_sequences') > 0) return name;
      }
      throw new Error('no target works');
    };

    it.for(['kill', 'pause'] as const)('moves an answer to the other replica on %s of its own', async (fault) => {
      let lost: 'target-service' | 'target-service-2' = 'target-service';
      const answer = await midStream(async () => {
        lost = await busyTarget();
        await stack[fault](lost);
      });
      expect(answer.tokenIds).toEqual(rightTokenIds);
      expect(answer.isDone).toBe(true);
      await (fault === 'kill' ? stack.revive(lost) : stack.resume(lost));
    });

    it('answers again when its only target was restarted and has forgotten everything', async () => {
      await stack.kill('target-service-2');
      const before = await generate(stack.url, short);
      await stack.kill('target-service');
      await stack.revive('target-service');
      await until('the target answers', async () => (await postGenerate(stack.url, short)).ok);
      expect((await generate(stack.url, short)).token_ids).toEqual(before.token_ids);
      await stack.revive('target-service-2');
    });

    it.for(['reset', 'blackhole'] as const)(
      'refuses with 503 and Retry-After while the last target is behind a %s, and serves again',
      async (mode) => {
        await stack.kill('target-service-2');
        await stack.setFault('target-service', { mode });
        const refused = await postGenerate(stack.url, short);
        expect(refused.status).toBe(503);
        expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
        const { error } = (await refused.json()) as { error: { code: string; request_id: string } };
        expect(error.code).toBe('target_unavailable');
        await until('not ready', async () => (await fetch(`${stack.url}/readyz`)).status === 503);
        expect((await fetch(`${stack.url}/healthz`)).status).toBe(200);

        await stack.setFault('target-service', { mode: 'pass' });
        await until('ready', async () => (await fetch(`${stack.url}/readyz`)).ok);
        expect((await generate(stack.url, short)).token_ids).toEqual(rightTokenIds.slice(0, 16));
        await stack.revive('target-service-2');
      },
    );

    it('ends a stream with an error event when the last target is lost under it', async () => {
      await stack.kill('target-service-2');
      const answer = await midStream(() => stack.setFault('target-service', { mode: 'reset' }));
      expect(answer.error?.code).toBe('target_unavailable');
      expect(answer.error?.request_id).toBeTruthy();
      expect(answer.isDone).toBe(false);
      expect(answer.tokenIds).toEqual(rightTokenIds.slice(0, answer.tokenIds.length));
      await stack.setFault('target-service', { mode: 'pass' });
      await stack.revive('target-service-2');
    });
  });

  it('holds nothing when all is over: what could not be freed is freed after its idle TTL', async () => {
    for (const member of ['draft-service', 'target-service', 'target-service-2'] as const) {
      await until(`${member} holds no sequence`, async () => {
        return sumOf(await scrape(stack.urlOf(member)), 'forerunner_sequences') === 0;
      });
    }
  });
});
