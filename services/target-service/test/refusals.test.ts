import { connect } from 'node:net';
import { encodeFrame, FRAME_CONTENT_TYPE, PROTOCOL_VERSION, scoreRequestFrame } from '@forerunner/protocol';
import { someIds } from '@forerunner/testkit/in-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTarget, post, score, scoring, type TestTarget } from './harness.ts';

let target: TestTarget;
beforeAll(async () => {
  target = await openTarget({ KV_CACHE_MB: '1', MAX_QUEUE: '4', MAX_BODY_BYTES: '100000' });
});
afterAll(() => target.close());

const valid = () => ({ ...scoring('a', someIds(4)), token_ids: [...someIds(4)] });
const frame = (request = scoring('a', someIds(4))) => encodeFrame(scoreRequestFrame(request));
const frameOf = (header: object, tokenIds: Int32Array | Float32Array = someIds(4)) =>
  encodeFrame({ header: { ...header } as Record<string, unknown>, sections: { token_ids: tokenIds } });

describe('bad requests', () => {
  it.each<[string, object | string | Buffer, number, string, string?]>([
    ['no token ids', { ...valid(), token_ids: [] }, 400, 'invalid_request', 'token_ids'],
    ['missing token ids', { ...valid(), token_ids: undefined }, 400, 'invalid_request', 'token_ids'],
    ['token ids of a wrong type', { ...valid(), token_ids: 'abc' }, 400, 'invalid_request', 'token_ids'],
    ['a token id that is no whole number', { ...valid(), token_ids: [1.5] }, 400, 'invalid_request'],
    ['a negative token id', { ...valid(), token_ids: [-1] }, 400, 'invalid_request'],
    [
      'a token id outside the vocabulary',
      { ...valid(), token_ids: [3, 1024] },
      400,
      'token_out_of_range',
      '1024 at index 1',
    ],
    ['a token id beyond 32 bits', { ...valid(), token_ids: [2 ** 40] }, 400, 'invalid_request'],
    ['a text beyond the context', { ...valid(), token_ids: Array(512).fill(5) }, 400, 'context_length_exceeded', '511'],
    ['a position beyond the context', { ...valid(), position: 600 }, 400, 'context_length_exceeded', '604'],
    ['a negative position', { ...valid(), position: -1 }, 400, 'invalid_request', 'position'],
    ['a huge position', { ...valid(), position: 1e300 }, 400, 'invalid_request', 'position'],
    ['a digest of a wrong form', { ...valid(), prefix_digest: 'xyz' }, 400, 'invalid_request', 'prefix_digest'],
    ['a sequence id with odd characters', { ...valid(), sequence_id: 'a b' }, 400, 'invalid_request', 'sequence_id'],
    ['more rows than tokens', { ...valid(), num_rows: 5 }, 400, 'invalid_request', 'num_rows'],
    [
      'hidden states from a position outside the request',
      { ...valid(), include_hidden_states: true, hidden_states_from: 4 },
      400,
      'invalid_request',
      '"hidden_states_from": must be from 0 to 3, the positions of token_ids, got 4',
    ],
    [
      'where hidden states begin that nobody wants',
      { ...valid(), hidden_states_from: 2 },
      400,
      'invalid_request',
      'include_hidden_states',
    ],
    ['rows of an unknown kind', { ...valid(), rows: 'guesses' }, 400, 'invalid_request', 'rows'],
    ['a temperature below 0', { ...valid(), sampling: { temperature: -1 } }, 400, 'invalid_request', 'temperature'],
    [
      'a temperature that is null (NaN in JSON)',
      { ...valid(), sampling: { temperature: null } },
      400,
      'invalid_request',
    ],
    ['a top_p of 0', { ...valid(), sampling: { top_p: 0 } }, 400, 'invalid_request', 'top_p'],
    ['an unknown field', { ...valid(), rwos: 'argmax' }, 400, 'unknown_field', 'rwos'],
    ['an unknown sampling field', { ...valid(), sampling: { tempreature: 1 } }, 400, 'unknown_field', 'tempreature'],
    ['another protocol version', { ...valid(), protocol_version: 99 }, 400, 'protocol_mismatch', '99'],
    ['invalid JSON', '{"sequence_id":', 400, 'invalid_json'],
    ['an array', '[]', 400, 'invalid_request'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 400, 'invalid_encoding'],
    [
      'a body over the limit',
      JSON.stringify({ ...valid(), cache_scope: 'x'.repeat(100_001) }),
      413,
      'payload_too_large',
    ],
  ])('answers %s', async (_what, payload, status, code, says = '') => {
    const reply = await post(target.app, payload);
    expect([reply.statusCode, reply.json().error.code]).toEqual([status, code]);
    expect(reply.json().error.message).toContain(says);
    expect(reply.json().error.request_id).toBe(reply.headers['x-request-id']);
  });

  const header = scoreRequestFrame(scoring('a', someIds(4))).header;
  const lying = frame();
  lying.write('"length":9', lying.indexOf('"length":4'));
  it.each<[string, Buffer, string]>([
    ['that is empty', Buffer.alloc(0), 'malformed_frame'],
    ['of other bytes', Buffer.from('hello, I am no frame at all'), 'malformed_frame'],
    ['that is cut in its header', frame().subarray(0, 20), 'malformed_frame'],
    ['that is cut in a section', frame().subarray(0, -4), 'malformed_frame'],
    ['whose lengths lie', lying, 'malformed_frame'],
    ['without token ids', encodeFrame({ header, sections: {} }), 'invalid_request'],
    ['with token ids as floats', frameOf(header, new Float32Array(4)), 'invalid_request'],
    ['with a token id outside the vocabulary', frameOf(header, Int32Array.of(1, 5000)), 'token_out_of_range'],
    ['with a negative token id', frameOf(header, Int32Array.of(1, -5)), 'token_out_of_range'],
    ['with an unknown field', frameOf({ ...header, extra: 1 }), 'unknown_field'],
    [
      'of another protocol version',
      frameOf({ ...header, protocol_version: PROTOCOL_VERSION + 1 }),
      'protocol_mismatch',
    ],
  ])('answers a frame %s', async (_what, payload, code) => {
    const reply = await post(target.app, payload, FRAME_CONTENT_TYPE);
    expect([reply.statusCode, reply.json().error.code]).toEqual([400, code]);
  });

  it.each([
    ['GET', '/v1/score', 405, 'method_not_allowed'],
    ['POST', '/v1/scores', 404, 'not_found'],
    ['DELETE', '/v1/sequences/a%20b', 400, 'invalid_request'],
    ['GET', '/v1/sequences/a', 405, 'method_not_allowed'],
  ] as const)('answers %s %s', async (method, url, status, code) => {
    const reply = await target.app.inject({ method, url });
    expect([reply.statusCode, reply.json().error.code]).toEqual([status, code]);
  });

  it('answers a wrong content type', async () => {
    const reply = await post(target.app, 'sequence_id=a', 'application/x-www-form-urlencoded');
    expect([reply.statusCode, reply.json().error.code]).toEqual([415, 'unsupported_media_type']);
  });

  it('serves on after all of them', async () => {
    expect((await post(target.app, valid())).statusCode).toBe(200);
  });
});

describe('a small budget', () => {
  it('evicts the longest unused sequences, which heal by sending everything again', async () => {
    const text = someIds(500);
    for (let i = 0; i < 8; i++)
      await score(target.app, scoring(`e-${i}`, text, 0, { num_rows: 1, cache_scope: `${i}` }));
    const { kvBytes, kvBudgetBytes, numEvictions } = await target.model.call('takeStats', null);
    expect(kvBytes).toBeLessThanOrEqual(kvBudgetBytes);
    expect(numEvictions.budget).toBeGreaterThan(3);
    const evicted = await post(target.app, { ...scoring('e-0', someIds(501), 500), token_ids: [5], cache_scope: '0' });
    expect(evicted.json().error).toMatchObject({ code: 'sequence_mismatch', cached_length: 0 });
    expect((await score(target.app, scoring('e-0', text, 0, { num_rows: 1, cache_scope: '0' }))).cached_length).toBe(
      500,
    );
  });

  it('answers 503 with Retry-After when everything in it is in use, and 429 when too many wait', async () => {
    const requests = Array.from({ length: 12 }, (_, i) =>
      post(
        target.app,
        frame(scoring(`m-${i}`, someIds(500), 0, { num_rows: 1, cache_scope: `m${i}` })),
        FRAME_CONTENT_TYPE,
      ),
    );
    const replies = await Promise.all(requests);
    const refused = replies.filter((reply) => reply.statusCode !== 200);
    expect(replies.length - refused.length).toBeGreaterThanOrEqual(3);
    expect(refused.length).toBeGreaterThan(0);
    for (const reply of refused) {
      expect([
        [429, 'overloaded'],
        [503, 'kv_budget_exceeded'],
      ]).toContainEqual([reply.statusCode, reply.json().error.code]);
      expect(reply.headers['retry-after']).toBeDefined();
    }
    expect((await post(target.app, valid())).statusCode).toBe(200);
  });
});

describe('a client that goes away', () => {
  it('ends its request between chunks, and the sequence stays usable', async () => {
    const slow = await openTarget({ PREFILL_CHUNK_TOKENS: '2' });
    try {
      let numPasses = 0;
      const numRequests = async () => {
        const stats = await slow.model.call('takeStats', null);
        numPasses += stats.passes.length;
        return stats.numRequests;
      };
      await slow.app.listen({ host: '127.0.0.1', port: 0 });
      const { port } = slow.app.server.address() as { port: number };
      const text = someIds(500);
      const body = frame(scoring('gone', text, 0, { num_rows: 1 }));
      const socket = connect(port, '127.0.0.1');
      const head =
        `POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: ${FRAME_CONTENT_TYPE}\r\n` +
        `content-length: ${body.byteLength}\r\n\r\n`;
      socket.write(Buffer.concat([Buffer.from(head), body]));
      await until(async () => (await numRequests()) === 1 && numPasses > 5);
      socket.destroy();
      await until(async () => (await numRequests()) === 0);
      expect(numPasses).toBeLessThan(250);
      expect((await score(slow.app, scoring('gone', text, 0, { num_rows: 1 }))).cached_length).toBe(500);
    } finally {
      await slow.close();
    }
  });

  async function until(condition: () => Promise<boolean>): Promise<void> {
    for (let i = 0; i < 5000; i++) if (await condition()) return;
    expect.fail('it never came true');
  }
});

describe('a service with a token', () => {
  it('opens /v1 to its bearer only, and health to everybody', async () => {
    const guarded = await openTarget({ SERVICE_TOKEN: 'between-services' });
    try {
      const get = (url: string, authorization?: string) =>
        guarded.app.inject({ url, ...(authorization && { headers: { authorization } }) });
      expect((await get('/v1/model')).statusCode).toBe(401);
      expect((await get('/v1/model', 'Bearer between-service')).statusCode).toBe(401);
      expect((await get('/v1/model', 'Bearer between-services')).statusCode).toBe(200);
      expect((await post(guarded.app, valid())).json().error.code).toBe('unauthorized');
      expect((await get('/healthz')).statusCode).toBe(200);
    } finally {
      await guarded.close();
    }
  });
});
