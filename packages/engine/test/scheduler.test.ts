import { beforeEach, describe, expect, it } from 'vitest';
import type { ForwardItem } from '../src/runner.ts';
import { type PassObservation, type PassResult, Scheduler } from '../src/scheduler.ts';
import { gate, settle, ToyRunner } from './toy-runner.ts';

let runner: ToyRunner;
let scheduler: Scheduler;
let observed: PassObservation[];

beforeEach(() => {
  runner = new ToyRunner();
  observed = [];
  scheduler = new Scheduler({ runner, maxBatchItems: 3, onPass: (pass) => observed.push(pass) });
});

function item(...tokenIds: number[]): ForwardItem {
  const cache = runner.createCache(tokenIds.length);
  return { cache, numPastTokens: 0, tokenIds: Int32Array.from(tokenIds), numLogitRows: 1 };
}

const passes = () => runner.passes.map((pass) => pass.tokenIds);
const codes = (promises: Promise<PassResult>[]) =>
  Promise.all(
    promises.map((promise) =>
      promise.then(
        () => 'ran',
        (error: { code?: string }) => error.code ?? 'other',
      ),
    ),
  );

describe('batches', () => {
  it('runs together what waits together', async () => {
    await Promise.all([scheduler.submit(item(1)), scheduler.submit(item(2))]);
    expect(passes()).toEqual([[[1], [2]]]);
    expect(observed).toMatchObject([{ numItems: 2, numTokens: 2 }]);
  });

  it('takes no more than BATCH_SIZE', async () => {
    await Promise.all([1, 2, 3, 4].map((id) => scheduler.submit(item(id))));
    expect(passes()).toEqual([[[1], [2], [3]], [[4]]]);
  });

  it('leaves out what the runner cannot batch, and takes what can be from behind it', async () => {
    await Promise.all([scheduler.submit(item(1)), scheduler.submit(item(5, 6)), scheduler.submit(item(2))]);
    expect(passes()).toEqual([[[1], [2]], [[5, 6]]]);
  });

  it('collects what arrives during a pass into the next one', async () => {
    const { closed, open } = gate();
    runner.gate = closed;
    const first = scheduler.submit(item(1));
    await settle();
    const later = [scheduler.submit(item(2)), scheduler.submit(item(3))];
    await settle();
    expect(scheduler.queueDepth).toBe(2);
    open();
    await Promise.all([first, ...later]);
    expect(passes()).toEqual([[[1]], [[2], [3]]]);
  });

  it('batches the next tokens of sequences that were batched before', async () => {
    const generate = async (id: number) => {
      for (let i = 0; i < 3; i++) (await scheduler.submit(item(id))).release();
    };
    await Promise.all([generate(1), generate(2)]);
    expect(passes()).toEqual([
      [[1], [2]],
      [[1], [2]],
      [[1], [2]],
    ]);
  });

  it('gives the buffers back when the last of a batch has let go', async () => {
    const [a, b] = await Promise.all([scheduler.submit(item(1)), scheduler.submit(item(2))]);
    a.release();
    expect(runner.numUnreleased).toBe(1);
    b.release();
    expect(runner.numUnreleased).toBe(0);
  });
});

describe('giving up', () => {
  it('drops queued work that was aborted, without running it', async () => {
    const { closed, open } = gate();
    runner.gate = closed;
    const first = scheduler.submit(item(1));
    await settle();
    const abort = new AbortController();
    const queued = [scheduler.submit(item(2), abort.signal), scheduler.submit(item(3))];
    abort.abort();
    expect(scheduler.queueDepth).toBe(1);
    open();
    expect(await codes([first, ...queued])).toEqual(['ran', 'aborted', 'ran']);
    expect(passes()).toEqual([[[1]], [[3]]]);
  });

  it('stops a pass only when nobody wants any of it, and settles when it has ended', async () => {
    const { closed, open } = gate();
    runner.gate = closed;
    const [one, two] = [new AbortController(), new AbortController()];
    const results = codes([scheduler.submit(item(1), one.signal), scheduler.submit(item(2), two.signal)]);
    let isSettled = false;
    void results.then(() => {
      isSettled = true;
    });
    await settle();
    one.abort();
    expect(runner.signals[0]!.aborted).toBe(false);
    two.abort();
    expect(runner.signals[0]!.aborted).toBe(true);
    await settle();
    expect(isSettled).toBe(false);
    open();
    expect(await results).toEqual(['aborted', 'aborted']);
  });

  it('gives the others of a batch their rows when one was aborted during the pass', async () => {
    const { closed, open } = gate();
    runner.gate = closed;
    const abort = new AbortController();
    const lost = scheduler.submit(item(1), abort.signal);
    const kept = scheduler.submit(item(2));
    await settle();
    abort.abort();
    open();
    expect(await codes([lost, kept])).toEqual(['aborted', 'ran']);
    (await kept).release();
    expect(runner.numUnreleased).toBe(0);
  });

  it('refuses a pass whose signal is aborted already', async () => {
    expect(await codes([scheduler.submit(item(1), AbortSignal.abort())])).toEqual(['aborted']);
    expect(passes()).toEqual([]);
  });

  it('tells everybody in a failed pass, and goes on with the next', async () => {
    runner.failure = new Error('broken');
    expect(await codes([scheduler.submit(item(1)), scheduler.submit(item(2))])).toEqual(['other', 'other']);
    runner.failure = undefined;
    expect(await codes([scheduler.submit(item(3))])).toEqual(['ran']);
  });

  it('closes after the pass under way and refuses the rest', async () => {
    const { closed, open } = gate();
    runner.gate = closed;
    const running = scheduler.submit(item(1));
    await settle();
    const results = codes([running, scheduler.submit(item(2))]);
    let isClosed = false;
    const closing = scheduler.close().then(() => {
      isClosed = true;
    });
    await settle();
    expect(isClosed).toBe(false);
    open();
    await closing;
    expect(await results).toEqual(['ran', 'closed']);
    expect(await codes([scheduler.submit(item(3))])).toEqual(['closed']);
  });
});
