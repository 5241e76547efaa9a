import { connect } from 'node:net';
import { encodeFrame, FRAME_CONTENT_TYPE, ServiceError } from '@forerunner/protocol';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import {
  bearerGuard,
  createApp,
  createLogger,
  createRegistry,
  installFrameParser,
  type Readiness,
  type ServiceApp,
} from '../src/index.ts';

let app: ServiceApp;
let readiness: Readiness = { ready: true };

function build(): ServiceApp {
  app = createApp({
    logger: createLogger('test', 'silent'),
    registry: createRegistry('test'),
    readiness: () => readiness,
    bodyLimitBytes: 1024,
  });
  installFrameParser(app);
  app.post('/echo', { schema: { body: z.strictObject({ text: z.string() }) } }, async (request) => request.body);
  app.delete('/things/:id', async () => '');
  app.get('/broken', async () => {
    throw new Error('secret detail');
  });
  app.get('/guarded', { onRequest: bearerGuard('s3cret') }, async () => 'in');
  return app;
}

afterEach(async () => {
  readiness = { ready: true };
  await app.close();
});

const post = (payload: string | Buffer, type = 'application/json') =>
  app.inject({ method: 'POST', url: '/echo', headers: { 'content-type': type }, payload });

describe('the shell of a service', () => {
  it.each([
    ['invalid JSON', '{"text":', 'application/json', 400, 'invalid_json'],
    ['an empty body', '', 'application/json', 400, 'invalid_json'],
    ['invalid UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'application/json', 400, 'invalid_encoding'],
    ['an unknown field', '{"text":"a","txet":"b"}', 'application/json', 400, 'unknown_field'],
    ['a wrong type', '{"text":7}', 'application/json', 400, 'invalid_request'],
    ['a body over the limit', JSON.stringify({ text: 'a'.repeat(2000) }), 'application/json', 413, 'payload_too_large'],
    ['a wrong content type', 'text=a', 'application/x-www-form-urlencoded', 415, 'unsupported_media_type'],
    [
      'a truncated frame',
      encodeFrame({ header: { text: 'a' }, sections: {} }).subarray(0, 12),
      FRAME_CONTENT_TYPE,
      400,
      'malformed_frame',
    ],
  ])('answers %s with its code and the request id', async (_what, payload, type, status, code) => {
    build();
    const reply = await post(payload, type);
    expect(reply.statusCode).toBe(status);
    expect(reply.json()).toMatchObject({ error: { code, request_id: reply.headers['x-request-id'] } });
  });

  it('names the unknown field', async () => {
    build();
    expect((await post('{"text":"a","txet":"b"}')).json().error.message).toContain('txet');
  });

  it('tells an unknown route from a wrong method', async () => {
    build();
    expect((await app.inject({ url: '/nowhere' })).json()).toMatchObject({ error: { code: 'not_found' } });
    const wrong = await app.inject({ method: 'GET', url: '/echo' });
    expect(wrong.statusCode).toBe(405);
    expect(wrong.headers.allow).toBe('POST');
    const behind = await app.inject({ method: 'GET', url: '/things/7' });
    expect([behind.statusCode, behind.headers.allow]).toEqual([405, 'DELETE']);
  });

  it('hides what an unexpected error says', async () => {
    build();
    const reply = await app.inject({ url: '/broken' });
    expect(reply.statusCode).toBe(500);
    expect(reply.body).not.toContain('secret detail');
  });

  it('keeps a well-formed request id and replaces any other', async () => {
    build();
    const kept = await app.inject({ url: '/healthz', headers: { 'x-request-id': 'abc-1' } });
    expect(kept.headers['x-request-id']).toBe('abc-1');
    const replaced = await app.inject({ url: '/healthz', headers: { 'x-request-id': 'a b"' } });
    expect(replaced.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('says why it is not ready', async () => {
    build();
    readiness = { ready: false, reason: 'the model is loading' };
    const reply = await app.inject({ url: '/readyz' });
    expect(reply.statusCode).toBe(503);
    expect(reply.json().error.message).toBe('the model is loading');
  });

  it('counts requests by route pattern and status', async () => {
    build();
    await post('{"text":"a"}');
    const { body } = await app.inject({ url: '/metrics' });
    expect(body).toContain('forerunner_http_requests_total{method="POST",route="/echo",status="200",service="test"} 1');
  });

  it('counts a client that left before its answer as 499', async () => {
    build();
    let entered: () => void = () => {};
    const waiting = new Promise<void>((resolve) => {
      entered = resolve;
    });
    app.get('/slow', (_request, reply) => {
      entered();
      void new Promise((resolve) => setTimeout(resolve, 100)).then(() => reply.send('late'));
      return reply;
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as { port: number };
    const controller = new AbortController();
    const reply = fetch(`http://127.0.0.1:${port}/slow`, { signal: controller.signal });
    await waiting;
    controller.abort();
    await expect(reply).rejects.toThrow();
    await vi.waitFor(async () => {
      const { body } = await app.inject({ url: '/metrics' });
      expect(body).toContain(
        'forerunner_http_requests_total{method="GET",route="/slow",status="499",service="test"} 1',
      );
    });
  });

  it('opens a guarded route to the right token only', async () => {
    build();
    const get = (authorization?: string) =>
      app.inject({ url: '/guarded', ...(authorization && { headers: { authorization } }) });
    expect((await get('Bearer s3cret')).statusCode).toBe(200);
    expect((await get('Bearer s3creT')).statusCode).toBe(401);
    expect((await get()).statusCode).toBe(401);
  });

  it('answers bytes that are not HTTP with a 400 in the common shape', async () => {
    build();
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as { port: number };
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(port, '127.0.0.1', () => socket.write('\x00\x01 nonsense\r\n\r\n'));
      socket.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400/);
    expect(answer).toContain('"code":"invalid_request"');
  });

  it('refuses with a code of its own what comes while it stops', async () => {
    build();
    let finish: () => void = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    app.get('/slow', async () => {
      await finished;
      return 'done';
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as { port: number };
    let text = '';
    const socket = connect(port, '127.0.0.1');
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    socket.write('GET /slow HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    const closed = app.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nx-request-id: late\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    finish();
    await closed;
    await vi.waitFor(() => expect(text).toContain('"code":"shutting_down"'));
    expect(text).toContain('done');
    expect(text).toContain('"request_id":"late"');
  });

  it('shows a service error as it is', async () => {
    build();
    app.get('/mismatch', async () => {
      throw new ServiceError('sequence_mismatch', 'resend', { cached_length: 3 });
    });
    const reply = await app.inject({ url: '/mismatch' });
    expect(reply.statusCode).toBe(409);
    expect(reply.json().error).toMatchObject({ cached_length: 3, message: 'resend' });
  });
});
