/** Streams over real sockets: heartbeats, slow readers, and readers that go away. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp, createLogger, createRegistry, disconnectSignal } from '@forerunner/service-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { EventStream } from '../src/sse.ts';
import { type ScriptedTrio, startScriptedTrio } from './surface/scripted-trio.ts';

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function eventually(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`);
    await sleep(10);
  }
}

/** A raw client: what it reads is its own decision. */
async function open(url: string, path: string, body?: object): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  closers.push(() => socket.destroy());
  const payload = body ? JSON.stringify(body) : '';
  socket.write(
    `${body ? 'POST' : 'GET'} ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(payload)}\r\n\r\n${payload}`,
  );
  return socket;
}

/** An app with one streaming route. */
async function appWith(
  stream: (events: EventStream) => Promise<void>,
  giveUp: AbortSignal = new AbortController().signal,
): Promise<string> {
  const app = createApp({
    logger: createLogger('test', 'silent'),
    registry: createRegistry('test'),
    readiness: () => ({ ready: true }),
    bodyLimitBytes: 1024,
  });
  closers.push(() => app.close());
  app.get('/stream', async (_request, reply) => {
    const signal = AbortSignal.any([disconnectSignal(reply), giveUp]);
    const events = new EventStream(reply, signal, { heartbeatMs: 20, closeTimeoutMs: 100 });
    try {
      await stream(events);
    } catch (error) {
      if (!events.isOpen) throw error;
      events.fail({ error: (error as Error).message });
    } finally {
      events.end();
    }
  });
  return app.listen({ host: '127.0.0.1', port: 0 });
}

describe('an event stream', () => {
  it('sends comments while there is nothing to say, which readers pass over', async () => {
    const url = await appWith(async (events) => {
      await sleep(100);
      await events.send({ text: 'late' });
      await events.send('[DONE]');
    });
    const text = await (await fetch(`${url}/stream`)).text();
    expect(text.match(/^: keep-alive$/gm)!.length).toBeGreaterThanOrEqual(2);
    expect(text.replaceAll(': keep-alive\n\n', '')).toBe('data: {"text":"late"}\n\ndata: [DONE]\n\n');
  });

  it('that fails at once is a plain error reply', async () => {
    const url = await appWith(async () => {
      throw new Error('no');
    });
    const reply = await fetch(`${url}/stream`);
    expect(reply.status).toBe(500);
    expect(reply.headers.get('content-type')).toMatch(/json/);
  });

  it('that fails after its first event ends with an error event', async () => {
    const url = await appWith(async (events) => {
      await events.send({ text: 'a' });
      throw new Error('broke');
    });
    const text = await (await fetch(`${url}/stream`)).text();
    expect(text).toBe('data: {"text":"a"}\n\nevent: error\ndata: {"error":"broke"}\n\n');
  });

  it('makes its writer wait for a slow reader, and never buffers more than a little', async () => {
    let numSent = 0;
    const chunk = { text: 'x'.repeat(10_000) };
    const url = await appWith(async (events) => {
      for (; numSent < 5000; numSent++) await events.send(chunk);
    });
    const socket = await open(url, '/stream');
    socket.pause();
    await eventually('the writer waits', async () => {
      const before = numSent;
      await sleep(150);
      return before > 0 && numSent === before;
    });
    const numWaitedFor = numSent;
    expect(numWaitedFor).toBeLessThan(2000); // what fits into the two sockets' buffers, of 50 MB
    let numBytes = 0;
    socket.on('data', (data) => {
      numBytes += data.length;
    });
    socket.resume();
    await eventually('the rest comes', () => numBytes > 50_000_000, 20_000);
    expect(numSent).toBe(5000);
  });
});

describe('an event stream that was given up', () => {
  it('leaves a reader that takes nothing', async () => {
    const giveUp = new AbortController();
    const chunk = { text: 'x'.repeat(10_000) };
    const url = await appWith(async (events) => {
      setTimeout(() => giveUp.abort(new Error('too long')), 300);
      for (let i = 0; i < 5000; i++) await events.send(chunk);
    }, giveUp.signal);
    const socket = await open(url, '/stream');
    socket.pause();
    await sleep(800);
    let text = '';
    const closed = new Promise((resolve) => socket.on('close', resolve).on('error', resolve));
    socket.setEncoding('utf8').on('data', (data) => {
      text += data;
    });
    socket.resume();
    await closed;
    expect(text.length).toBeGreaterThan(10_000);
    expect(text).not.toContain('too long'); // it stands behind all that was not taken
  });

  it('tells one that does read', async () => {
    const giveUp = new AbortController();
    const url = await appWith(async (events) => {
      await events.send({ text: 'a' });
      giveUp.abort(new Error('too long'));
      await events.send({ text: 'b' });
    }, giveUp.signal);
    expect(await (await fetch(`${url}/stream`)).text()).toBe(
      'data: {"text":"a"}\n\nevent: error\ndata: {"error":"too long"}\n\n',
    );
  });
});

describe('a generation that is streamed', () => {
  const request = { prompt: 'x', stream: true, temperature: 0, max_new_tokens: 400, ignore_eos: true, draft_k: 2 };
  const start = async (): Promise<ScriptedTrio> => {
    const trio = await startScriptedTrio({ text: 'word '.repeat(300), env: { MAX_CONCURRENT_REQUESTS: '2' } });
    closers.push(() => trio.stop());
    return trio;
  };

  it('is cancelled within one round when its reader goes away, and frees both sides', async () => {
    const trio = await start();
    trio.target.before = () => sleep(30);
    const socket = await open(trio.url, '/generate', request);
    await new Promise((resolve) => socket.once('data', resolve));
    await eventually('some rounds', () => trio.target.numCalls > 4);
    const numCalls = trio.target.numCalls;
    socket.destroy();
    await eventually('freed', () => trio.target.sequences.size === 0 && trio.draft.sequences.size === 0);
    expect(trio.target.numCalls - numCalls).toBeLessThanOrEqual(1);
    await eventually('counted', async () =>
      /forerunner_requests_total\{route="\/generate",outcome="cancelled".*\} 1/.test(await trio.metrics()),
    );
    expect(await trio.metrics()).toMatch(/^forerunner_requests_running\{.*\} 0$/m);
  });

  it('does not slow down others when its own reader is slow', async () => {
    const trio = await start();
    const slow = await open(trio.url, '/generate', { ...request, return_token_ids: true });
    slow.pause();
    const startMs = performance.now();
    const reply = await fetch(`${trio.url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'y', temperature: 0, max_new_tokens: 50 }),
    });
    expect(reply.status).toBe(200);
    expect(performance.now() - startMs).toBeLessThan(5000);
  });

  it('ends with request_timeout when it takes too long', async () => {
    const trio = await startScriptedTrio({ text: 'word '.repeat(300), env: { REQUEST_TIMEOUT_S: '1' } });
    closers.push(() => trio.stop());
    trio.target.before = () => sleep(60);
    const reply = await fetch(`${trio.url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
    });
    expect(await reply.text()).toMatch(/event: error\ndata: \{"error":\{"code":"request_timeout"/);
    await eventually('freed', () => trio.target.sequences.size === 0);
  });
});
