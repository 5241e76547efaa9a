/** What the native runner promises beyond the contract: no blocked thread, cancellation, lifetimes, clean ends. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { describe, expect, test, vi } from 'vitest';
import { ortApi } from '../../../src/runners/native/ort-api.ts';
import { codeOf, modelDir, open, pass, sameBits, someIds } from '../fixtures.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const engine = new URL('../../../src/index.ts', import.meta.url).href;

/** Memory of array buffers when the collector has had its say. */
async function bufferBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return process.memoryUsage().arrayBuffers;
}

/** A pass of a few hundred milliseconds. */
const longPass = { model: 'smollm2-135m-draft-4l-int8', numTokens: 2000 };

describe('a long pass', () => {
  test('leaves the event loop free', async () => {
    const runner = await open('native', longPass.model);
    const cache = runner.createCache(longPass.numTokens);
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 5);
    const started = performance.now();
    await pass(runner, cache, 0, someIds(longPass.numTokens), { numLogitRows: 1 });
    const tookMs = performance.now() - started;
    clearInterval(ticking);
    expect(tookMs).toBeGreaterThan(50);
    expect(ticks).toBeGreaterThan(tookMs / 5 / 4);
    cache.release();
    await runner.close();
  });

  test('stops soon after its signal, and the sequence goes on from where it was', async () => {
    const runner = await open('native', longPass.model);
    const [cache, untouched] = [runner.createCache(longPass.numTokens + 8), runner.createCache(16)];
    await pass(runner, cache, 0, someIds(8));
    await pass(runner, untouched, 0, someIds(8));
    const abort = new AbortController();
    const item = { cache, numPastTokens: 8, tokenIds: someIds(longPass.numTokens), numLogitRows: 1 };
    const running = codeOf(runner.forward([item], abort.signal));
    await new Promise((resolve) => setTimeout(resolve, 30));
    const abortedAt = performance.now();
    abort.abort();
    expect(await running).toBe('aborted');
    expect(performance.now() - abortedAt).toBeLessThan(250);
    expect(await codeOf(pass(runner, cache, 9, someIds(1)))).toMatch(/holds 8 tokens/);
    const [after, expected] = [await pass(runner, cache, 8, someIds(3)), await pass(runner, untouched, 8, someIds(3))];
    expect(sameBits(after.logits, expected.logits)).toBe(true);
    cache.release();
    untouched.release();
    await runner.close();
  });

  test('keeps others waiting only up to the lanes, and those that wait can still be aborted', async () => {
    const runner = await open('native', longPass.model);
    const caches = Array.from({ length: 4 }, () => runner.createCache(longPass.numTokens));
    const abort = new AbortController();
    const forward = (i: number, signal?: AbortSignal) =>
      codeOf(
        runner.forward([{ cache: caches[i]!, numPastTokens: 0, tokenIds: someIds(1000), numLogitRows: 1 }], signal),
      );
    const results = [forward(0), forward(1), forward(2, abort.signal), forward(3)];
    abort.abort();
    expect(await Promise.all(results)).toEqual(['no error', 'no error', 'aborted', 'no error']);
    for (const cache of caches) cache.release();
    await runner.close();
  });

  test('may be left to itself by close, which refuses those that wait', async () => {
    const runner = await open('native', longPass.model);
    const caches = Array.from({ length: 3 }, () => runner.createCache(1000));
    const results = caches.map((cache) =>
      codeOf(runner.forward([{ cache, numPastTokens: 0, tokenIds: someIds(1000), numLogitRows: 1 }])),
    );
    await runner.close();
    expect(await Promise.all(results)).toEqual(['no error', 'closed', 'closed']);
    for (const cache of caches) cache.release();
  });
});

describe('steps of less than a millisecond', () => {
  test('mostly stay on their thread, and yet its timers run', async () => {
    const runner = await open('native', 'tiny-target');
    const cache = runner.createCache(500);
    const trips = vi.spyOn(ortApi().async, 'Run');
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 1);
    const numSteps = 400;
    for (let i = 0; i < numSteps; i++) await pass(runner, cache, i, someIds(1, i));
    clearInterval(ticking);
    expect(trips.mock.calls.length).toBeLessThan(0.5 * numSteps);
    expect(trips.mock.calls.length).toBeGreaterThan(2);
    expect(ticks).toBeGreaterThan(2);
    trips.mockRestore();
    cache.release();
    await runner.close();
  });
});

describe('memory', () => {
  test('of everything bound survives collections in mid-run', async () => {
    const runner = await open('native', 'tiny-target');
    const expected = await pass(runner, runner.createCache(300), 0, someIds(300));
    for (let i = 0; i < 20; i++) {
      const running = pass(runner, runner.createCache(300), 0, someIds(300));
      collectGarbage();
      new Array(1000).fill(0).map(() => new Float32Array(1000).fill(Number.NaN));
      collectGarbage();
      expect(sameBits((await running).logits, expected.logits)).toBe(true);
    }
    await runner.close();
  });

  test('of a fork is shared until one side writes', async () => {
    const runner = await open('native', 'smollm2-135m-draft-4l-int8');
    const parent = runner.createCache(4000);
    await pass(runner, parent, 0, someIds(64));
    const before = await bufferBytes();
    const forks = Array.from({ length: 50 }, () => parent.fork(64));
    expect((await bufferBytes()) - before).toBeLessThan(0.1 * parent.bytes);
    await pass(runner, forks[0]!, 64, someIds(1));
    expect((await bufferBytes()) - before).toBeGreaterThan(0.9 * parent.bytes);
    for (const cache of [...forks, parent]) cache.release();
    expect(await bufferBytes()).toBeLessThan(before);
    await runner.close();
  });

  test('that cannot be had is an error, and the cache keeps what it has', async () => {
    const runner = await open('native', 'tiny-target');
    const original = globalThis.ArrayBuffer;
    const cache = runner.createCache(8);
    const expected = await pass(runner, cache, 0, someIds(4));
    globalThis.ArrayBuffer = class extends original {
      constructor() {
        super(0);
        throw new RangeError('Array buffer allocation failed');
      }
    } as unknown as typeof ArrayBuffer;
    try {
      expect(() => cache.ensureCapacity(500, 4)).toThrow(/no \d+ bytes of memory/);
    } finally {
      globalThis.ArrayBuffer = original;
    }
    expect(sameBits((await pass(runner, cache, 0, someIds(4))).logits, expected.logits)).toBe(true);
    cache.release();
    await runner.close();
  });

  test('of outputs is not given to another pass before release', async () => {
    const runner = await open('native', 'tiny-target');
    const [one, other] = [runner.createCache(8), runner.createCache(8)];
    const first = await runner.forward([{ cache: one, numPastTokens: 0, tokenIds: someIds(4), numLogitRows: 4 }]);
    const copy = first.outputs[0]!.logits.slice();
    await pass(runner, other, 0, someIds(4, 77));
    expect(sameBits(first.outputs[0]!.logits, copy)).toBe(true);
    first.release();
    first.release();
    for (const cache of [one, other]) cache.release();
    await runner.close();
  });
});

test('sequences of one session run at the same time without disturbing each other', async () => {
  const runner = await open('native', 'tiny-target');
  const alone = await Promise.all(
    [0, 1, 2, 3, 4, 5].map(async (offset) => {
      const cache = runner.createCache(200);
      return (await pass(runner, cache, 0, someIds(150, offset * 50))).logits;
    }),
  );
  for (const [i, logits] of alone.entries()) {
    const again = await pass(runner, runner.createCache(200), 0, someIds(150, i * 50));
    expect(sameBits(again.logits, logits)).toBe(true);
  }
  await runner.close();
});

describe('threads and processes', () => {
  const script = (body: string) => `
    const { openRunner } = await import(${JSON.stringify(engine)});
    const runner = await openRunner({ modelDir: ${JSON.stringify(modelDir(longPass.model))}, numThreads: 1, minRows: 2,
      maxBatchItems: 1, executionProvider: 'cpu', deviceId: 0, runtime: 'native' });
    const cache = runner.createCache(4000);
    const run = (n) => runner.forward([{ cache, numPastTokens: 0, tokenIds: new Int32Array(n).fill(7), numLogitRows: 1 }]);
    ${body}`;
  const exec = promisify(execFile);
  const node = (body: string) =>
    exec(process.execPath, ['--input-type=module', '-e', script(body)], { timeout: 30_000 });

  test('a process may exit in the middle of a run, and does so soon', async () => {
    const started = performance.now();
    const { stdout, stderr } = await node(`
      run(4000).catch(() => {});
      setTimeout(() => { console.log('leaving'); process.exit(0); }, 50);`);
    expect(stdout).toBe('leaving\n');
    expect(stderr).toBe('');
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test('works in a worker thread that ends, and in another one after it', async () => {
    for (let i = 0; i < 2; i++) {
      const worker = new Worker(
        `import { parentPort } from 'node:worker_threads'; ${script(
          'const { outputs } = await run(3); parentPort.postMessage(outputs[0].logits[0]); cache.release(); await runner.close();',
        )}`,
        { eval: true },
      );
      // A worker that is done may deliver its last message and its exit in one go: listen for both at once.
      const [exit, message] = [once(worker, 'exit'), once(worker, 'message')];
      expect(await message).toEqual([expect.any(Number)]);
      expect(await exit).toEqual([0]);
      collectGarbage();
    }
  });

  test('a worker that is terminated in the middle of a run does not take the process along', async () => {
    const { stdout } = await exec(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { Worker } from 'node:worker_threads';
        const worker = new Worker(${JSON.stringify(
          `import { parentPort } from 'node:worker_threads'; ${script("run(1000).catch(() => {}); setTimeout(() => parentPort.postMessage('running'), 30);")}`,
        )}, { eval: true });
        worker.once('message', async () => { await worker.terminate(); setTimeout(() => console.log('alive'), 300); });`,
      ],
      { timeout: 30_000 },
    );
    expect(stdout).toBe('alive\n');
  });
});
