import { afterEach, describe, expect, it } from 'vitest';
import { WorkerHost } from '../src/rpc/worker-host.ts';
import type { ToyMethods } from './toy-worker.ts';

type Host = WorkerHost<ToyMethods, { pid: number }>;
let host: Host | undefined;
let logs: string[] = [];
let deaths: string[] = [];

afterEach(async () => {
  await host?.close();
  host = undefined;
  logs = [];
  deaths = [];
});

async function start(workerData = 'something'): Promise<Host> {
  host = await WorkerHost.start<ToyMethods, { pid: number }>({
    script: new URL('./toy-worker.ts', import.meta.url),
    workerData,
    log: (message) => logs.push(message),
    onDeath: (reason) => deaths.push(reason.message),
  });
  return host;
}

const outcome = (promise: Promise<unknown>) => promise.catch((error: unknown) => error);

describe('calls to a worker', () => {
  it('carries payloads there and moved buffers back', async () => {
    const values = Int32Array.of(1, 2, 3);
    const { call, info } = await start().then((started) => ({ call: started.call.bind(started), info: started.info }));
    expect(await call('double', { values }, { transfer: [values.buffer] })).toEqual(Int32Array.of(2, 4, 6));
    expect(values.length).toBe(0);
    expect(info.pid).toBe(process.pid);
    expect(logs).toEqual(['starting']);
  });

  it('keeps the code and details of an engine error, and the text of any other', async () => {
    const started = await start();
    expect(await outcome(started.call('refuse', undefined as never))).toMatchObject({
      name: 'EngineError',
      code: 'sequence_mismatch',
      message: 'not that',
      details: { cached_length: 7 },
    });
    expect(await outcome(started.call('fail', undefined as never))).toMatchObject({ message: 'a defect' });
  });

  it('passes an abort on', async () => {
    const started = await start();
    const abort = new AbortController();
    const call = outcome(started.call('waitForAbort', null, { signal: abort.signal }));
    setTimeout(() => abort.abort(), 20);
    expect(await call).toMatchObject({ code: 'aborted' });
    expect(await outcome(started.call('wait', 1, { signal: AbortSignal.abort() }))).toMatchObject({ code: 'aborted' });
  });

  it('closes after the running calls, and takes none after that', async () => {
    const started = await start();
    const slow = started.call('wait', 100);
    const closing = started.close();
    expect(await outcome(started.call('wait', 1))).toMatchObject({ code: 'closed' });
    expect(await slow).toBe('waited');
    await closing;
    expect(deaths).toEqual([]);
  });

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
