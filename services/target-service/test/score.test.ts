import { distributionAt, modelCardSchema, numDistributionRows } from '@forerunner/protocol';
import { argmax, Sampler, type SamplingParams } from '@forerunner/sampling';
import { TINY_VOCAB_SIZE } from '@forerunner/testkit';
import { someIds } from '@forerunner/testkit/in-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTarget, post, score, scoring, type TestTarget } from './harness.ts';

let target: TestTarget;
beforeAll(async () => {
  target = await openTarget();
});
afterAll(() => target.close());

let nextId = 0;
const freshId = () => `s-${nextId++}`;
/** Sequences of different scopes share nothing. */
const alone = () => ({ cache_scope: freshId() });

const rowsOf = (logits: Float32Array | undefined) => {
  expect(logits).toBeDefined();
  return Array.from({ length: logits!.length / TINY_VOCAB_SIZE }, (_, i) =>
    logits!.subarray(i * TINY_VOCAB_SIZE, (i + 1) * TINY_VOCAB_SIZE),
  );
};

const neutral: SamplingParams = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  suppressTokens: [],
};

describe('rows', () => {
  it('are by default the argmax of every new position', async () => {
    const text = someIds(9);
    const { argmaxTokenIds } = await score(target.app, scoring(freshId(), text));
    const { logits } = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits' }));
    expect([...argmaxTokenIds!]).toEqual(rowsOf(logits).map((row) => argmax(row)));
  });

  it('are as many of the last positions as asked for', async () => {
    const text = someIds(9);
    const { logits: all } = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits', ...alone() }));
    const { logits: last } = await score(
      target.app,
      scoring(freshId(), text, 0, { rows: 'logits', num_rows: 3, ...alone() }),
    );
    expect(last).toEqual(all!.slice(6 * TINY_VOCAB_SIZE));
    const none = await score(target.app, scoring(freshId(), text, 0, { num_rows: 0 }));
    expect([none.argmaxTokenIds!.length, none.cached_length]).toEqual([0, 9]);
  });

  it('are distributions after temperature and filters, sparse where something was filtered', async () => {
    const text = someIds(6);
    const sampling = { temperature: 0.8, top_k: 20, top_p: 0.9, min_p: 0.01 };
    const { distributions } = await score(
      target.app,
      scoring(freshId(), text, 0, { rows: 'probs', num_rows: 2, sampling }),
    );
    const { logits } = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits', num_rows: 2 }));
    const sampler = new Sampler(TINY_VOCAB_SIZE);
    const expected = rowsOf(logits).map((row) =>
      sampler.distribution(row, { ...neutral, temperature: 0.8, topK: 20, topP: 0.9, minP: 0.01 }),
    );
    expect(numDistributionRows(distributions!)).toBe(2);
    expect([0, 1].map((i) => distributionAt(distributions!, i))).toEqual(expected);
    expect(distributionAt(distributions!, 0).tokenIds!.length).toBeLessThanOrEqual(20);
  });

  it('are dense distributions without ids where nothing was filtered', async () => {
    const { distributions } = await score(
      target.app,
      scoring(freshId(), someIds(4), 0, { rows: 'probs', num_rows: 2 }),
    );
    expect([distributions!.tokenIds, distributions!.probs.length]).toEqual([null, 2 * TINY_VOCAB_SIZE]);
  });

  it('are one-hot distributions at temperature 0', async () => {
    const request = scoring(freshId(), someIds(4), 0, { rows: 'probs', sampling: { temperature: 0 } });
    const { distributions } = await score(target.app, request);
    const { argmaxTokenIds } = await score(target.app, scoring(freshId(), someIds(4)));
    expect([distributions!.tokenIds, distributions!.probs]).toEqual([argmaxTokenIds, new Float32Array(4).fill(1)]);
  });

  it.each(['argmax', 'probs'])('count for penalties every token from output_start to the row (%s)', async (rows) => {
    const text = Int32Array.of(5, 9, 5, 5, 9, 7);
    const sampling = {
      temperature: rows === 'argmax' ? 1 : 0.9,
      presence_penalty: 1.5,
      frequency_penalty: 0.75,
      logit_bias: { 12: 3 },
      output_start: 2,
    };
    const { logits } = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits' }));
    // The first four tokens are cached beforehand: what the row may count does not depend on what is sent with it.
    const id = freshId();
    await score(target.app, scoring(id, text.slice(0, 4), 0, alone()));
    const reply = await score(target.app, {
      ...scoring(id, text, 4, { rows, sampling }),
      cache_scope: `s-${nextId - 1}`,
    });
    const expected = rowsOf(logits)
      .slice(4)
      .map((row, i) => {
        const adjusted = row.slice();
        adjusted[12]! += 3;
        for (const tokenId of new Set(text.slice(2, 5 + i))) {
          adjusted[tokenId]! -= 1.5 + 0.75 * text.slice(2, 5 + i).filter((other) => other === tokenId).length;
        }
        return adjusted;
      });
    if (rows === 'argmax') expect([...reply.argmaxTokenIds!]).toEqual(expected.map((row) => argmax(row)));
    else {
      const sampler = new Sampler(TINY_VOCAB_SIZE);
      expected.forEach((row, i) => {
        const { probs } = sampler.distribution(row, { ...neutral, temperature: 0.9 });
        const largest = probs.reduce(
          (most, p, v) => Math.max(most, Math.abs(p - distributionAt(reply.distributions!, i).probs[v]!)),
          0,
        );
        expect(largest).toBeLessThan(1e-7);
      });
    }
  });

  it('come with hidden states of every new token when asked for', async () => {
    const request = scoring(freshId(), someIds(7), 0, { num_rows: 1, include_hidden_states: true });
    const { hiddenStates } = await score(target.app, request);
    expect(hiddenStates).toBeInstanceOf(Float16Array);
    expect(hiddenStates!.length).toBe(7 * target.model.info.hiddenStates!.width);
    expect(hiddenStates!.some((value) => value !== 0)).toBe(true);
  });

  it('come with hidden states that depend on the text alone, not on how it was split', async () => {
    const text = someIds(150); // more than a chunk
    const { width } = target.model.info.hiddenStates!;
    /** Row by row, of the text sent in pieces that end where `ends` says. */
    const hiddenOf = async (tokenIds: Int32Array, ends: readonly number[]) => {
      const [id, scope] = [freshId(), alone()];
      const rows: Float32Array[] = [];
      for (const [i, end] of ends.entries()) {
        const more = { num_rows: 0, include_hidden_states: true, ...scope };
        const request = scoring(id, tokenIds.slice(0, end), ends[i - 1] ?? 0, more);
        const values = Float32Array.from((await score(target.app, request)).hiddenStates!);
        for (let at = 0; at < values.length; at += width) rows.push(values.subarray(at, at + width));
      }
      return rows;
    };
    const difference = (a: Float32Array, b: Float32Array) =>
      a.reduce((most, value, j) => Math.max(most, Math.abs(value - b[j]!)), 0);
    const whole = await hiddenOf(text, [150]);
    const largest = Math.max(...whole.flatMap((row) => [...row].map(Math.abs)));
    const tolerance = largest * 2 ** -10; // one step of a float16
    for (const ends of [
      [1, 2, 3, 4, 5, 6, 7, 150],
      [100, 150],
    ]) {
      const rows = await hiddenOf(text, ends);
      expect(rows).toHaveLength(150);
      for (const [i, row] of rows.entries()) {
        expect(difference(row, whole[i]!), `row ${i}, split at ${ends}`).toBeLessThanOrEqual(tolerance);
      }
    }
    const others = await hiddenOf(Int32Array.of(...text.slice(0, 140), ...someIds(10, 500)), [150]);
    const differing = others.map((row, i) => difference(row, whole[i]!) > 10 * tolerance);
    expect(differing).toEqual(whole.map((_, i) => i >= 140));
  });

  it('say in JSON what they say in a frame', async () => {
    const request = scoring(freshId(), someIds(5), 0, {
      rows: 'probs',
      num_rows: 2,
      sampling: { top_k: 3 },
      ...alone(),
    });
    const frame = await score(target.app, request);
    const reply = await post(target.app, { ...request, token_ids: [...request.token_ids] });
    expect(reply.headers['content-type']).toContain('application/json');
    const json = reply.json();
    expect(json.prob_token_ids).toEqual([...frame.distributions!.tokenIds!]);
    expect(Float32Array.from(json.probs)).toEqual(frame.distributions!.probs);
    expect(json.timing.total_ms).toBeGreaterThan(0);
  });
});

describe('a sequence', () => {
  it('gives the same bits in one pass, token by token, after a rollback and in chunks', async () => {
    const text = someIds(150); // more than a chunk
    const all = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits', num_rows: 12, ...alone() }));
    const scope = alone();
    const id = freshId();
    await score(target.app, scoring(id, Int32Array.of(...text.slice(0, 138), 7, 7, 7, 7), 0, scope));
    const stepwise: number[] = [];
    for (let position = 138; position < 150; position++) {
      const request = scoring(id, text.slice(0, position + 1), position, { rows: 'logits', ...scope });
      stepwise.push(...(await score(target.app, request)).logits!);
    }
    expect(Float32Array.from(stepwise)).toEqual(all.logits);
  });

  it('takes over the prefix of another of its scope, and gives the bits that it would have computed', async () => {
    const text = someIds(60, 5);
    const scope = alone();
    await score(target.app, scoring(freshId(), text.slice(0, 45), 0, scope));
    const shared = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits', num_rows: 4, ...scope }));
    const own = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits', num_rows: 4, ...alone() }));
    expect([shared.num_reused_tokens, own.num_reused_tokens]).toEqual([45, 0]);
    expect(shared.logits).toEqual(own.logits);
  });

  it('computes everything when hidden states of everything are wanted', async () => {
    const text = someIds(40, 9);
    const scope = alone();
    await score(target.app, scoring(freshId(), text, 0, scope));
    const reply = await score(target.app, scoring(freshId(), text, 0, { include_hidden_states: true, ...scope }));
    expect(reply.num_reused_tokens).toBe(0);
  });

  it.each([0, 20, 30])(
    'gives hidden states from a position on, and takes over what lies before it (%i)',
    async (from) => {
      const text = someIds(40, 300 + from);
      const scope = alone();
      const { width } = target.model.info.hiddenStates!;
      const id = freshId();
      const whole = await score(target.app, scoring(id, text, 0, { include_hidden_states: true, ...scope }));
      await target.app.inject({ method: 'DELETE', url: `/v1/sequences/${id}` });
      const wanted = { num_rows: 1, include_hidden_states: true, hidden_states_from: from, ...scope };
      const reply = await score(target.app, scoring(freshId(), text, 0, wanted));
      expect([reply.num_reused_tokens, reply.hidden_states_from]).toEqual([from, from]);
      expect(reply.hiddenStates).toEqual(whole.hiddenStates!.slice(from * width));
      expect(reply.argmaxTokenIds).toEqual(whole.argmaxTokenIds!.slice(-1));
    },
  );

  it('gives those hidden states only that it computed where reuse is preferred', async () => {
    const text = someIds(40, 500);
    const scope = alone();
    const { width } = target.model.info.hiddenStates!;
    await score(target.app, scoring(freshId(), text.slice(0, 30), 0, { num_rows: 0, ...scope }));
    const wanted = { num_rows: 1, include_hidden_states: true, prefer_reuse: true, ...scope };
    const reply = await score(target.app, scoring(freshId(), text, 0, wanted));
    expect([reply.num_reused_tokens, reply.hidden_states_from]).toEqual([30, 30]);
    const later = await score(target.app, scoring(freshId(), text, 0, { ...wanted, hidden_states_from: 35 }));
    expect([later.num_reused_tokens, later.hidden_states_from]).toEqual([39, 39]);
    expect(later.hiddenStates).toEqual(reply.hiddenStates!.slice(9 * width));
  });

  it('gives the same bits from the prefix of a freed one, and nothing of it to another scope', async () => {
    const text = someIds(60, 700);
    const scope = alone();
    const rows = { rows: 'logits', num_rows: 4 };
    const id = freshId();
    const first = await score(target.app, scoring(id, text, 0, { ...rows, ...scope }));
    await target.app.inject({ method: 'DELETE', url: `/v1/sequences/${id}` });
    const numRowsComputed = async (request: ReturnType<typeof scoring>) => {
      await target.model.call('takeStats', null);
      const reply = await score(target.app, request);
      const { passes } = await target.model.call('takeStats', null);
      return { reply, numRows: passes.reduce((sum, { numTokens }) => sum + numTokens, 0) };
    };
    // What takes time is rows: another scope computes as many as for a text that nobody ever sent.
    const other = await numRowsComputed(scoring(freshId(), text, 0, { ...rows, ...alone() }));
    expect([other.reply.num_reused_tokens, other.numRows]).toEqual([0, 60]);
    const again = await numRowsComputed(scoring(freshId(), text, 0, { ...rows, ...scope }));
    expect([again.reply.num_reused_tokens, again.numRows]).toEqual([56, 4]);
    expect(again.reply.logits).toEqual(first.logits);
    expect(other.reply.logits).toEqual(first.logits);
  });

  it('gives what it gives alone when many others run beside it', async () => {
    const texts = [0, 1, 2, 3, 4, 5].map((i) => someIds(20 + 30 * i, 100 * i));
    const run = async (text: Int32Array, scope: object) => {
      const id = freshId();
      await score(target.app, scoring(id, text.slice(0, -3), 0, scope));
      return score(target.app, scoring(id, text, text.length - 3, { rows: 'logits', ...scope }));
    };
    const together = await Promise.all(texts.map((text) => run(text, alone())));
    for (const [i, text] of texts.entries()) expect(together[i]!.logits).toEqual((await run(text, alone())).logits);
  });

  it('heals after a 409 from the length that the answer names', async () => {
    const text = someIds(10);
    const id = freshId();
    await score(target.app, scoring(id, text.slice(0, 6)));
    const request = scoring(id, text, 8);
    const refused = await post(target.app, { ...request, token_ids: [...request.token_ids] });
    expect([refused.statusCode, refused.json().error]).toMatchObject([
      409,
      { code: 'sequence_mismatch', cached_length: 6 },
    ]);
    expect((await score(target.app, scoring(id, text, 6))).cached_length).toBe(10);
    const other = scoring(id, someIds(10, 1), 5);
    expect((await post(target.app, { ...other, token_ids: [...other.token_ids] })).json().error.cached_length).toBe(0);
    expect((await score(target.app, scoring(id, someIds(10, 1), 0))).cached_length).toBe(10);
  });

  it('is not begun or continued by a service of another model', async () => {
    const id = freshId();
    const { model_digest } = (await target.app.inject({ url: '/v1/model' })).json();
    await score(target.app, scoring(id, someIds(4), 0, { model_digest }));
    const request = scoring(id, someIds(5), 4);
    const other = { ...request, token_ids: [...request.token_ids], model_digest: 'e'.repeat(64) };
    const refused = await post(target.app, other);
    expect([refused.statusCode, refused.json().error]).toMatchObject([409, { code: 'model_mismatch', model_digest }]);
    expect(refused.json().error.message).toContain(`model eeeeeeeeeeee, this service has "tiny-target"`);
    expect((await score(target.app, scoring(id, someIds(5), 4, { model_digest }))).cached_length).toBe(5);
  });

  it('is freed by DELETE, as often as one likes', async () => {
    const id = freshId();
    await score(target.app, scoring(id, someIds(4)));
    for (let i = 0; i < 2; i++) {
      const reply = await target.app.inject({ method: 'DELETE', url: `/v1/sequences/${id}` });
      expect([reply.statusCode, reply.body]).toEqual([204, '']);
    }
    const request = scoring(id, someIds(5), 4);
    const gone = await post(target.app, { ...request, token_ids: [...request.token_ids] });
    expect(gone.json().error).toMatchObject({ code: 'sequence_mismatch', cached_length: 0 });
  });
});

it('keeps and reuses nothing where PREFIX_CACHE is false', async () => {
  const forgetful = await openTarget({ PREFIX_CACHE: 'false' });
  try {
    const text = someIds(40);
    const ids = ['first', 'second', 'third'];
    for (const id of ids) {
      const { num_reused_tokens } = await score(forgetful.app, scoring(id, text, 0, { num_rows: 1 }));
      expect(num_reused_tokens).toBe(0);
      if (id !== 'second') await forgetful.app.inject({ method: 'DELETE', url: `/v1/sequences/${id}` });
    }
    await forgetful.app.inject({ method: 'DELETE', url: '/v1/sequences/second' });
    expect(await forgetful.model.call('takeStats', null)).toMatchObject({ numSequences: 0, kvBytes: 0 });
  } finally {
    await forgetful.close();
  }
});

describe('the service', () => {
  it('shows its model card', async () => {
    const card = modelCardSchema.parse((await target.app.inject({ url: '/v1/model' })).json());
    expect(card).toMatchObject({
      service: 'target-service',
      model_id: 'tiny-target',
      vocab_size: TINY_VOCAB_SIZE,
      context_length: 511, // one position is kept for the row that a single token is padded with
      numeric_regime: 'bit-exact',
      hidden_states_offered: { name: 'hidden_states', width: 64 },
      hidden_states_wanted: null,
      execution_provider: 'cpu',
      eos_token_ids: [2],
    });
    expect(card.model_digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it('counts passes, sequences and bytes', async () => {
    await score(target.app, scoring(freshId(), someIds(4)));
    const { body } = await target.app.inject({ url: '/metrics' });
    const value = (name: string) => Number(body.match(new RegExp(`^${name}(?:\\{[^}]*\\})? (.*)$`, 'm'))?.[1]);
    const { numSequences, kvBytes, kvBudgetBytes } = await target.model.call('takeStats', null);
    expect(value('forerunner_sequences')).toBe(numSequences);
    expect(value('forerunner_kv_cache_bytes')).toBe(kvBytes);
    expect(value('forerunner_kv_cache_budget_bytes')).toBe(kvBudgetBytes);
    expect(value('forerunner_queue_depth')).toBe(0);
    const { numCachedPrefixes, cachedPrefixBytes, prefixCacheTokens } = await target.model.call('takeStats', null);
    expect(value('forerunner_cached_prefixes')).toBe(numCachedPrefixes);
    expect(value('forerunner_cached_prefix_bytes')).toBe(cachedPrefixBytes);
    expect(value('prefix_cache_queries_total')).toBe(prefixCacheTokens.queries);
    expect(value('prefix_cache_hits_total')).toBe(prefixCacheTokens.hits);
    expect(body).toMatch(/forerunner_model_pass_seconds_count\{service="target-service",rows="4"\} \d+/);
    expect(body).toMatch(/forerunner_kv_evictions_total\{reason="budget",service="target-service"\} 0/);
    expect(body).toMatch(/forerunner_http_requests_total\{method="POST",route="\/v1\/score",status="200"/);
  });
});

describe('allowed tokens', () => {
  const NUM_WORDS = Math.ceil(TINY_VOCAB_SIZE / 32);
  /** A mask with these tokens. */
  const maskOf = (ids: readonly number[]) => {
    const words = new Int32Array(NUM_WORDS);
    for (const id of ids) words[id >> 5]! |= 1 << (id & 31);
    return [...words];
  };

  it('are the only ones in the first rows, also in argmax rows, and raw logits stay as they are', async () => {
    const text = someIds(6);
    const ids = [
      [7, 300, 1001],
      [40, 41],
    ];
    const allowed_tokens = Int32Array.from(ids.flatMap(maskOf));
    const request = (rows: string, more = {}) =>
      scoring(freshId(), text, 0, { rows, num_rows: 3, allowed_tokens, ...alone(), ...more });
    const { argmaxTokenIds } = await score(target.app, request('argmax'));
    const { logits } = await score(target.app, request('logits'));
    const rows = rowsOf(logits);
    const best = (row: Float32Array, among: number[]) => among.reduce((a, b) => (row[b]! > row[a]! ? b : a));
    expect([...argmaxTokenIds!]).toEqual([best(rows[0]!, ids[0]!), best(rows[1]!, ids[1]!), argmax(rows[2]!)]);
    const { distributions } = await score(target.app, request('probs', { sampling: { top_p: 0.999999 } }));
    expect([...distributionAt(distributions!, 0).tokenIds!]).toEqual(ids[0]);
    expect([...distributionAt(distributions!, 1).tokenIds!]).toEqual(ids[1]);
    expect(distributionAt(distributions!, 2).tokenIds!.length).toBeGreaterThan(100);
    const free = await score(target.app, scoring(freshId(), text, 0, { rows: 'logits', num_rows: 3, ...alone() }));
    expect(logits).toEqual(free.logits);
  });

  it('are refused when they fit no row, and when they leave nothing', async () => {
    const bad = scoring(freshId(), someIds(4), 0, {
      num_rows: 1,
      allowed_tokens: new Int32Array(2 * NUM_WORDS).fill(-1),
    });
    await expect(score(target.app, bad)).rejects.toThrow(
      /400.*allowed_tokens.*must be 32 words for each of at most 1 rows, got 64/,
    );
    const none = scoring(freshId(), someIds(4), 0, { num_rows: 1, allowed_tokens: new Int32Array(NUM_WORDS) });
    await expect(score(target.app, none)).rejects.toThrow(/500/);
  });

  it('come as JSON, too', async () => {
    const text = [...someIds(4)];
    const { token_ids, ...rest } = scoring(freshId(), Int32Array.from(text));
    const reply = await post(target.app, { ...rest, token_ids: text, num_rows: 1, allowed_tokens: maskOf([99]) });
    expect(reply.json().argmax_token_ids).toEqual([99]);
  });
});
