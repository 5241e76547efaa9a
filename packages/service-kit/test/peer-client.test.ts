import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeFrame } from '@forerunner/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { PeerClient, type PeerClientOptions, PeerError } from '../src/index.ts';

const FRAME = { header: {}, sections: {} };
const call = { requestId: 'r-1', timeoutMs: 5000 };

let server: Server;
let client: PeerClient;

async function peer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  connections = 2,
  options: Partial<PeerClientOptions> = {},
) {
  server = createServer((request, response) => {
    request.resume().on('end', () => answer(request, response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = new PeerClient('toy', url, { connections, ...options });
}

afterEach(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});

describe('a call to a peer', () => {
  it('returns a reply that came in many pieces, in memory that any section may lie in', async () => {
    const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    await peer((_request, response) => {
      for (let at = 0; at < sent.length; at += 50_001) response.write(sent.subarray(at, at + 50_001));
      response.end();
    });
    const body = await client.postFrame('/', FRAME, call);
    expect(Buffer.compare(Buffer.from(body), sent)).toBe(0);
    expect(body.byteOffset).toBe(0);
  });

  it('sends its request id, and keeps the connection for the next call', async () => {
    const seen: unknown[] = [];
    let numConnections = 0;
    await peer((request, response) => {
      seen.push(request.headers['x-request-id']);
      response.end('{}');
    }, 1);
    server.on('connection', () => numConnections++);
    await client.getJson('/', call);
    await client.getJson('/', { ...call, requestId: 'r-2' });
    expect(seen).toEqual(['r-1', 'r-2']);
    expect(numConnections).toBe(1);
  });

  it('goes to the address that it is given, under the name of the URL', async () => {
    const seen: unknown[] = [];
    await peer((request, response) => {
      seen.push(request.headers.host);
      response.end('{}');
    });
    const { port } = server.address() as AddressInfo;
    await client.close();
    client = new PeerClient('toy', `http://nowhere.test:${port}`, { connections: 1, address: '127.0.0.1' });
    await client.getJson('/', call);
    expect(seen).toEqual([`nowhere.test:${port}`]);
    server.closeAllConnections();
    server.close();
    await expect(client.getJson('/', call)).rejects.toThrow(`toy at http://nowhere.test:${port} [127.0.0.1]: `);
  });

  it('bears its token, in every kind of call, and no credentials without one', async () => {
    const seen: unknown[] = [];
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      seen.push(request.headers.authorization);
      response.end('{}');
    };
    await peer(answer, 1, { token: 'swordfish' });
    await client.postFrame('/', FRAME, call);
    await client.getJson('/', call);
    await client.delete('/', call);
    expect(seen).toEqual(Array(3).fill('Bearer swordfish'));
    await client.close();
    server.close();
    await peer(answer);
    await client.getJson('/', call);
    expect(seen[3]).toBeUndefined();
    expect(seen).toHaveLength(4);
  });

  it('tells of the bytes of every frame that was answered, with an error too, and of nothing else', async () => {
    const traffic: [sentBytes: number, receivedBytes: number][] = [];
    await peer(
      (request, response) => {
        if (request.url === '/lost') return response.destroy();
        response.statusCode = request.url === '/refused' ? 409 : 200;
        response.end(request.method === 'POST' ? 'x'.repeat(request.url === '/refused' ? 300 : 1000) : '{}');
      },
      1,
      { onTraffic: (...bytes) => traffic.push(bytes) },
    );
    const frame = { header: { n: 1 }, sections: { ids: new Int32Array(250) } };
    const sentBytes = encodeFrame(frame).byteLength;
    expect(sentBytes).toBeGreaterThan(1000);
    await client.postFrame('/', frame, call);
    await client.postFrame('/refused', frame, call).catch(() => {});
    await client.postFrame('/lost', frame, call).catch(() => {});
    await client.getJson('/', call);
    await client.delete('/', call);
    expect(traffic).toEqual([
      [sentBytes, 1000],
      [sentBytes, 300],
    ]);
  });

  it("keeps the code and details of a peer's refusal", async () => {
    await peer((_request, response) => {
      response.statusCode = 409;
      response.end(
        JSON.stringify({ error: { code: 'sequence_mismatch', message: 'no', request_id: 'r', cached_length: 7 } }),
      );
    });
    const error = await client.postFrame('/', FRAME, call).catch((cause) => cause);
    expect(error).toMatchObject({ kind: 'refused', code: 'sequence_mismatch', details: { cached_length: 7 } });
  });

  it('is late after its deadline, gives the connection up, and the next call has another', async () => {
    const closed: Promise<unknown>[] = [];
    await peer((request, response) => {
      if (request.url === '/slow') closed.push(once(response, 'close'));
      else response.end('{}');
    }, 1);
    const error = await client.getJson('/slow', { ...call, timeoutMs: 50 }).catch((cause) => cause);
    expect(error).toBeInstanceOf(PeerError);
    expect(error).toMatchObject({ kind: 'timeout', message: expect.stringContaining('within 50 ms') });
    await Promise.all(closed); // the peer sees that nobody waits any more
    expect(await client.getJson('/', call)).toEqual({});
  });

  it('is late also while it waits for a connection, and then neither is sent nor costs that connection', async () => {
    const waiting: ServerResponse[] = [];
    const seen: unknown[] = [];
    await peer((request, response) => {
      seen.push(request.headers['x-request-id']);
      if (seen.length === 1) waiting.push(response);
      else response.end('{}');
    }, 1);
    let numConnections = 0;
    server.on('connection', () => numConnections++);
    const first = client.getJson('/', call);
    const late = await client.getJson('/', { ...call, requestId: 'late', timeoutMs: 50 }).catch((cause) => cause);
    expect(late).toMatchObject({ kind: 'timeout' });
    waiting[0]!.end('{}');
    expect(await first).toEqual({});
    expect(await client.getJson('/', { ...call, requestId: 'next' })).toEqual({});
    expect(seen).toEqual(['r-1', 'next']);
    expect(numConnections).toBe(1);
  });

  it("throws the signal's own reason, before the call and in the middle of it", async () => {
    const reason = new Error('the client left');
    const gone = Promise.withResolvers<unknown>();
    await peer((_request, response) => {
      response.write('half');
      response.on('close', () => gone.resolve(null));
    });
    await expect(client.getJson('/', { ...call, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const reply = client.getJson('/', { ...call, signal: controller.signal }).catch((cause) => cause);
    setTimeout(() => controller.abort(reason), 50);
    expect(await reply).toBe(reason);
    await gone.promise;
  });

  it('is unreachable when the connection breaks in the middle of a reply, or nobody listens', async () => {
    await peer((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half');
      setTimeout(() => response.destroy(), 20);
    });
    expect(await client.getJson('/', call).catch((cause) => cause)).toMatchObject({ kind: 'unreachable' });
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    const error = await client.getJson('/', call).catch((cause) => cause);
    expect(error).toMatchObject({ kind: 'unreachable', message: expect.stringContaining('ECONNREFUSED') });
  });
});
