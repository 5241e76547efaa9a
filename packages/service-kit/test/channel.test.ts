import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CHANNEL_PATH,
  CHANNEL_PROTOCOL,
  channelHead,
  decodeFrame,
  encodeFrame,
  FRAME_CONTENT_TYPE,
  ServiceError,
} from '@forerunner/protocol';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  bearerGuard,
  type ChannelHandler,
  ChannelServer,
  createApp,
  createLogger,
  createRegistry,
  PeerClient,
  type ServiceApp,
} from '../src/index.ts';

const call = { requestId: 'r-1', timeoutMs: 5000 };
const frame = (n: number) => ({ header: { n }, sections: { ids: Int32Array.of(n, n + 1) } });

const clients: PeerClient[] = [];
const apps: ServiceApp[] = [];
const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await Promise.all(ends.splice(0).map((end) => end()));
});

/** A service that answers calls of /v1/call, and counts connections and HTTP requests. */
async function serve(
  handler: ChannelHandler,
  { token, port = 0, messageTimeoutMs }: { token?: string; port?: number; messageTimeoutMs?: number } = {},
) {
  const logger = createLogger('test', 'silent');
  const channels = new ChannelServer({ token, maxBodyBytes: 4096, messageTimeoutMs, logger });
  channels.answer('/v1/call', handler);
  const app = createApp({
    logger,
    registry: createRegistry('test'),
    readiness: () => ({ ready: true }),
    bodyLimitBytes: 4096,
    channels,
  });
  app.addContentTypeParser(FRAME_CONTENT_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post('/v1/call', token === undefined ? {} : { onRequest: bearerGuard(token) }, async () => 'by HTTP');
  const counts = { connections: 0, requests: 0 };
  app.server.on('connection', () => counts.connections++);
  app.server.on('request', () => counts.requests++);
  apps.push(app);
  const url = await app.listen({ host: '127.0.0.1', port });
  return { app, url, counts };
}

function clientOf(url: string, token?: string): PeerClient {
  const client = new PeerClient('toy', url, { connections: 4, useChannels: true, token });
  clients.push(client);
  return client;
}

const failureOf = (reply: Promise<unknown>) =>
  reply.then(
    () => 'no failure',
    (cause) => cause,
  );

/** Answers with the header's number doubled. */
const double: ChannelHandler = async ({ body }) => {
  const { header, sections } = decodeFrame(body);
  return encodeFrame({ header: { n: 2 * (header.n as number) }, sections });
};

async function upgraded(url: string, options: { allowHalfOpen?: boolean } = {}): Promise<Socket> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', ...options });
  socket.write(
    `GET ${CHANNEL_PATH} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: ${CHANNEL_PROTOCOL}\r\n\r\n`,
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 101 /);
  return socket;
}

describe('calls over a channel', () => {
  it('need one connection and no HTTP request, one after the other', async () => {
    const { url, counts, app } = await serve(double);
    const client = clientOf(url);
    for (let n = 0; n < 5; n++) {
      const { header, sections } = decodeFrame(await client.postFrame('/v1/call', frame(n), call));
      expect(header).toEqual({ n: 2 * n });
      expect(sections.ids).toEqual(Int32Array.of(n, n + 1));
    }
    expect(counts).toEqual({ connections: 1, requests: 0 });
    const { body } = await app.inject({ url: '/metrics' });
    expect(body).toMatch(/http_requests_total\{method="CHANNEL",route="\/v1\/call",status="200",service="test"\} 5/);
  });

  it('have a channel each when they are made at the same time, and the channels serve again', async () => {
    const { url, counts } = await serve(async (given) => {
      await sleep(30);
      return double(given);
    });
    const client = clientOf(url);
    for (let round = 0; round < 2; round++) {
      const replies = await Promise.all([7, 8, 9].map((n) => client.postFrame('/v1/call', frame(n), call)));
      expect(replies.map((reply) => decodeFrame(reply).header.n)).toEqual([14, 16, 18]);
    }
    expect(counts.connections).toBe(3);
  });

  it('keep no more idle channels than connections are wanted', async () => {
    const { url, app } = await serve(async (given) => {
      await sleep(30);
      return double(given);
    });
    const client = clientOf(url); // keeps 4
    await Promise.all(Array.from({ length: 7 }, (_, n) => client.postFrame('/v1/call', frame(n), call)));
    const open = () => new Promise<number>((resolve) => app.server.getConnections((_, count) => resolve(count)));
    await vi.waitFor(async () => expect(await open()).toBe(4));
  });

  it("tell the service's errors with code and details, and the next call is made as if nothing was", async () => {
    const { url, counts } = await serve(async ({ body }) => {
      const { n } = decodeFrame(body).header;
      if (n === 1) throw new ServiceError('sequence_mismatch', 'resend', { cached_length: 3 });
      if (n === 2) throw new Error('secret detail');
      return body;
    });
    const client = clientOf(url);
    expect(await failureOf(client.postFrame('/v1/call', frame(1), call))).toMatchObject({
      kind: 'refused',
      code: 'sequence_mismatch',
      details: { cached_length: 3 },
    });
    const unexpected = await failureOf(client.postFrame('/v1/call', frame(2), call));
    expect(unexpected).toMatchObject({ kind: 'unreachable', code: 'internal_error' });
    expect(String(unexpected)).not.toContain('secret');
    expect(await failureOf(client.postFrame('/v1/nothing', frame(0), call))).toMatchObject({ code: 'not_found' });
    await client.postFrame('/v1/call', frame(3), call);
    expect(counts.connections).toBe(1);
  });

  it('refuse a body over the limit and name both', async () => {
    const { url } = await serve(double);
    const big = { header: {}, sections: { ids: new Int32Array(2000) } };
    const error = await failureOf(clientOf(url).postFrame('/v1/call', big, call));
    expect(error).toMatchObject({
      code: 'payload_too_large',
      message: expect.stringMatching(/4096 bytes, got 8\d{3}/),
    });
  });

  it.each(['a deadline', 'an abort'])(
    'are given up at %s: the handler sees it, the next call has another channel',
    async (what) => {
      const left = Promise.withResolvers<unknown>();
      const { url, counts, app } = await serve(async (given) => {
        if (decodeFrame(given.body).header.n !== 1) return double(given);
        await new Promise((resolve) => given.signal.addEventListener('abort', resolve));
        left.resolve(given.signal.reason);
        throw given.signal.reason;
      });
      const client = clientOf(url);
      const signal = what === 'an abort' ? AbortSignal.timeout(50) : undefined;
      const options = signal ? { ...call, signal } : { ...call, timeoutMs: 50 };
      const error = await failureOf(client.postFrame('/v1/call', frame(1), options));
      if (signal) expect(error).toBe(signal.reason);
      else expect(error).toMatchObject({ kind: 'timeout' });
      expect(await left.promise).toMatchObject({ code: 'client_closed_request' });
      await client.postFrame('/v1/call', frame(2), call);
      expect(counts.connections).toBe(2);
      const { body } = await app.inject({ url: '/metrics' });
      expect(body).toMatch(/http_requests_total\{method="CHANNEL",route="\/v1\/call",status="499"/);
    },
  );

  it('leave the channel that was being opened for them to the next call when they are late', async () => {
    const { url, counts, app } = await serve(double);
    const upgrades = app.server.listeners('upgrade') as ((...given: unknown[]) => void)[];
    app.server.removeAllListeners('upgrade');
    app.server.on('upgrade', (...given) => setTimeout(() => upgrades[0]!(...given), 100));
    const client = clientOf(url);
    const late = await failureOf(client.postFrame('/v1/call', frame(1), { ...call, timeoutMs: 30 }));
    expect(late).toMatchObject({ kind: 'timeout' });
    await sleep(120);
    await client.postFrame('/v1/call', frame(2), call);
    expect(counts.connections).toBe(1);
  });

  it('find a service that was started again', async () => {
    const first = await serve(double);
    const client = clientOf(first.url);
    await client.postFrame('/v1/call', frame(1), call);
    await first.app.close();
    expect(await failureOf(client.postFrame('/v1/call', frame(1), call))).toMatchObject({ kind: 'unreachable' });
    await serve(double, { port: Number(new URL(first.url).port) });
    expect(decodeFrame(await client.postFrame('/v1/call', frame(4), call)).header).toEqual({ n: 8 });
  });

  it('are unreachable when the connection breaks, or says what is no message', async () => {
    const sockets: Socket[] = [];
    const server = createServer({ shouldUpgradeCallback: () => true });
    server.on('upgrade', (_request, socket: Socket) => {
      sockets.push(socket);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${CHANNEL_PROTOCOL}\r\n\r\n`);
      socket.once('data', () => {
        if (sockets.length === 1) socket.destroy();
        else socket.write('HTTP/1.1 200 OK\r\n\r\n');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const client = clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const broken = await failureOf(client.postFrame('/v1/call', frame(1), call));
    expect(broken).toMatchObject({ kind: 'unreachable', message: expect.stringContaining('other side closed') });
    const garbage = await failureOf(client.postFrame('/v1/call', frame(1), call));
    expect(garbage).toMatchObject({ kind: 'unreachable', message: expect.stringContaining('malformed_frame') });
  });
});

describe('a peer that stalls', () => {
  it('is called by HTTP for some seconds only', { timeout: 10_000 }, async () => {
    const { url, app } = await serve(double);
    const client = clientOf(url);
    const [first] = await Promise.all([1, 2].map((n) => client.postFrame('/v1/call', frame(n), call)));
    expect(decodeFrame(first!).header).toEqual({ n: 2 });
    const upgrades = app.server.listeners('upgrade') as ((...given: unknown[]) => void)[];
    app.server.removeAllListeners('upgrade');
    const unanswered: Socket[] = [];
    app.server.on('upgrade', (_request, socket: Socket) => unanswered.push(socket));
    const methods = async () => {
      const { body } = await app.inject({ url: '/metrics' });
      const count = (method: string) =>
        Number(
          new RegExp(`requests_total\\{method="${method}",route="/v1/call",status="200".*\\} (.*)`).exec(body)?.[1] ??
            0,
        );
      return { channel: count('CHANNEL'), post: count('POST') };
    };
    // Three at once: one more than there are channels.
    await Promise.all([1, 2, 3].map((n) => client.postFrame('/v1/call', frame(n), call)));
    for (const socket of unanswered) socket.destroy();
    expect(await methods()).toEqual({ channel: 4, post: 1 });
    app.server.removeAllListeners('upgrade');
    app.server.on('upgrade', (...given) => upgrades[0]!(...given));
    const now = performance.now();
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now + 6_000);
    await Promise.all([1, 2, 3].map((n) => client.postFrame('/v1/call', frame(n), call)));
    clock.mockRestore();
    expect(await methods()).toEqual({ channel: 7, post: 1 });
  });
});

describe('a peer without channels', () => {
  /** Answers calls by HTTP, and the question for a channel as `ask` does; returns what was asked, in order. */
  async function withoutChannels(ask: (response: ServerResponse) => void) {
    const requests: string[] = [];
    const server = createServer((request, response) => {
      requests.push(request.method!);
      request.resume().on('end', () => (request.method === 'GET' ? ask(response) : response.end('{}')));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    return { requests, client: clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) };
  }

  it.each([
    ['refuses', (response: ServerResponse) => response.writeHead(404).end('{}')],
    ['closes', (response: ServerResponse) => response.destroy()],
    ['never answers', () => {}],
  ])('is called by HTTP, and not asked again for a while: %s', { timeout: 10_000 }, async (_what, ask) => {
    const { requests, client } = await withoutChannels(ask);
    await client.postFrame('/v1/call', frame(1), call);
    await client.postFrame('/v1/call', frame(1), call);
    expect(requests).toEqual(['GET', 'POST', 'POST']);
  });

  it('is remembered, too, when the call that asked was given up before', { timeout: 10_000 }, async () => {
    const { requests, client } = await withoutChannels(() => {});
    const late = await failureOf(client.postFrame('/v1/call', frame(1), { ...call, timeoutMs: 100 }));
    expect(late).toMatchObject({ kind: 'timeout' });
    await vi.waitFor(() => client.postFrame('/v1/call', frame(1), { ...call, timeoutMs: 100 }), { timeout: 6_000 });
    expect(requests.at(-1)).toBe('POST');
  });

  it('is asked again after a while', async () => {
    const { requests, client } = await withoutChannels((response) => response.writeHead(404).end('{}'));
    await client.postFrame('/v1/call', frame(1), call);
    const now = performance.now();
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now + 301_000);
    await client.postFrame('/v1/call', frame(1), call);
    clock.mockRestore();
    expect(requests).toEqual(['GET', 'POST', 'GET', 'POST']);
  });

  it('is asked again at once when it was only failing', async () => {
    const { requests, client } = await withoutChannels((response) => response.writeHead(503).end('{}'));
    await client.postFrame('/v1/call', frame(1), call);
    await client.postFrame('/v1/call', frame(1), call);
    expect(requests).toEqual(['GET', 'POST', 'GET', 'POST']);
  });
});

describe('the service behind channels', () => {
  it('upgrades for the right token only, and says why not', async () => {
    const { url, counts } = await serve(double, { token: 's3cret' });
    await clientOf(url, 's3cret').postFrame('/v1/call', frame(1), call);
    expect(counts.requests).toBe(0);
    for (const token of ['s3creT', undefined]) {
      const error = await failureOf(clientOf(url, token).postFrame('/v1/call', frame(1), call));
      expect(error).toMatchObject({ kind: 'refused', code: 'unauthorized' });
    }
  });

  it('answers a request for any other upgrade as HTTP', async () => {
    const { url } = await serve(double);
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n');
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*\{"status":"ok"\}/);
  });

  it.each(['content-length: 5', 'transfer-encoding: chunked'])(
    'survives a request for a channel with %s',
    async (header) => {
      const { url } = await serve(double);
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      const head = `GET ${CHANNEL_PATH} HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: ${CHANNEL_PROTOCOL}\r\n`;
      socket.write(`${head}${header}\r\n\r\n`);
      socket.end(header === 'content-length: 5' ? 'hello' : '0\r\n\r\n');
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 404 /);
      await clientOf(url).postFrame('/v1/call', frame(1), call);
    },
  );

  it.each(['that comes byte by byte', 'that was refused'])(
    'ends the channel of a message %s after its time',
    async (what) => {
      const { url } = await serve(double, { messageTimeoutMs: 200 });
      const socket = await upgraded(url, { allowHalfOpen: true });
      const startMs = performance.now();
      const trickle = setInterval(() => socket.write(Buffer.of(8)), 50); // never idle
      socket.on('error', () => {});
      if (what === 'that was refused') socket.write('GET / HTTP/1.1\r\n\r\n');
      socket.resume();
      await new Promise((resolve) => socket.once('close', resolve));
      clearInterval(trickle);
      expect(performance.now() - startMs).toBeGreaterThan(150);
    },
  );

  it('closes idle channels when it ends, and a busy one after its answer', async () => {
    const entered = Promise.withResolvers<void>();
    const { url, app } = await serve(async (given) => {
      if (decodeFrame(given.body).header.n === 1) {
        entered.resolve();
        await sleep(100);
      }
      return double(given);
    });
    const client = clientOf(url);
    const idle = await upgraded(url);
    const slow = client.postFrame('/v1/call', frame(1), call);
    await entered.promise;
    const isClosed = app.close();
    await once(idle, 'end');
    expect(decodeFrame(await slow).header).toEqual({ n: 2 });
    await isClosed;
  });

  it('says what is wrong with bytes that are no message, and ends the channel', async () => {
    const { url } = await serve(double);
    const socket = await upgraded(url);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    const said = await text(socket);
    expect(said).toMatch(/400 close +\{"error":\{"code":"malformed_frame"/);
  });

  it('ends the channel of a caller that does not wait for its answer', async () => {
    const { url } = await serve(async (given) => {
      await sleep(50);
      return double(given);
    });
    const socket = await upgraded(url);
    const body = encodeFrame(frame(1));
    const message = Buffer.concat([channelHead('/v1/call r-1', body.byteLength), body]);
    socket.write(Buffer.concat([message, message]));
    expect(await text(socket)).toBe('');
  });
});
