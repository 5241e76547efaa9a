import { afterEach, describe, expect, it } from 'vitest';
import type { EngineLog } from '../src/log.ts';
import type { CallHost } from '../src/rpc/call-host.ts';
import { LocalHost } from '../src/rpc/local-host.ts';
import { WorkerHost } from '../src/rpc/worker-host.ts';
import { openToyService, type ToyMethods } from './toy-service.ts';

type Host = CallHost<ToyMethods, { pid: number }>;
let host: Host | undefined;
let logs: string[] = [];
let deaths: string[] = [];

afterEach(async () => {
  await host?.close();
  host = undefined;
  logs = [];
  deaths = [];
});

const log: EngineLog = (level, message) => void logs.push(`${level}: ${message}`);

async function startLocal(): Promise<Host> {
  host = new LocalHost<ToyMethods, { pid: number }>(await openToyService('something', log));
  return host;
}

async function start(workerData = 'something'): Promise<Host> {
  host = await WorkerHost.start<ToyMethods, { pid: number }>({
    script: new URL('./toy-worker.ts', import.meta.url),
    workerData,
    log,
    onDeath: (reason) => deaths.push(reason.message),
  });
  return host;
}

const outcome = (promise: Promise<unknown>) => promise.catch((error: unknown) => error);

it('a buffer that is moved to a worker is gone here', async () => {
  const values = Int32Array.of(1, 2, 3);
  expect(await (await start()).call('double', { values }, { transfer: [values.buffer] })).toHaveLength(3);
  expect(values.length).toBe(0);
});

describe.each([
  ['a worker', start],
  ['the own thread', startLocal],
])('calls on %s', (_where, start) => {
  it('carry payloads there and moved buffers back', async () => {
    const started = await start();
    const values = Int32Array.of(1, 2, 3);
    expect(await started.call('double', { values })).toEqual(Int32Array.of(2, 4, 6));
    expect(started.info.pid).toBe(process.pid);
    expect(logs).toEqual(['info: starting']);
  });

  it('keep the code and details of an engine error, and the text of any other', async () => {
    const started = await start();
    expect(await outcome(started.call('refuse', undefined as never))).toMatchObject({
      name: 'EngineError',
      code: 'sequence_mismatch',
      message: 'not that',
      details: { cached_length: 7 },
    });
    expect(await outcome(started.call('fail', undefined as never))).toMatchObject({ message: 'a defect' });
  });

  it('pass an abort on', async () => {
    const started = await start();
    const abort = new AbortController();
    const call = outcome(started.call('waitForAbort', null, { signal: abort.signal }));
    setTimeout(() => abort.abort(), 20);
    expect(await call).toMatchObject({ code: 'aborted' });
    expect(await outcome(started.call('wait', 1, { signal: AbortSignal.abort() }))).toMatchObject({ code: 'aborted' });
  });

  it('end with those under way, and none is taken after that', async () => {
    const started = await start();
    const slow = started.call('wait', 100);
    const closing = started.close();
    expect(await outcome(started.call('wait', 1))).toMatchObject({ code: 'closed' });
    expect(await slow).toBe('waited');
    await closing;
    expect(logs.at(-1)).toBe('warn: closed');
    expect(deaths).toEqual([]);
  });
});

describe('the end of a worker', () => {
  it.each([
    ['crash', 'crashed'],
    ['exit', 'the worker ended with code 3'],
  ] as const)('fails every pending call when the worker dies (%s)', async (method, reason) => {
    const started = await start();
    const pending = outcome(started.call('wait', 60_000));
    const last = outcome(started.call(method, undefined as never));
    expect(await pending).toMatchObject({ code: 'closed', message: `the model's worker is gone: ${reason}` });
    expect(await last).toMatchObject({ code: 'closed' });
    expect(deaths).toEqual([reason]);
    expect(await outcome(started.call('wait', 1))).toMatchObject({ code: 'closed' });
  });
});

describe('the start of a worker', () => {
  it('reports why it refuses', async () => {
    expect(await outcome(start('refuse to start'))).toMatchObject({
      code: 'model_not_found',
      message: 'no model there',
    });
  });

  it('reports a worker that dies before it is ready', async () => {
    expect(await outcome(start('die at start'))).toMatchObject({ message: expect.stringContaining('code 5') });
  });
});
