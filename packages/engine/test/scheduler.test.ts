import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ForwardItem } from '../src/runner.ts';
import { type PassObservation, type PassResult, Scheduler } from '../src/scheduler.ts';
import { gate, rowAfter, settle, ToyRunner, VOCAB } from './toy-runner.ts';

let runner: ToyRunner;
let scheduler: Scheduler;
let observed: PassObservation[];

beforeEach(() => {
  runner = new ToyRunner();
  observed = [];
  const limits = { maxItems: 3, maxTokens: 64, chunkTokens: 40 };
  scheduler = new Scheduler({ runner, limits, onPass: (pass) => observed.push(pass) });
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

  it('takes items of any numbers of tokens', async () => {
    await Promise.all([scheduler.submit(item(1)), scheduler.submit(item(5, 6)), scheduler.submit(item(2))]);
    expect(passes()).toEqual([[[1], [5, 6], [2]]]);
  });

  it('takes of a long text what there is room for, and gives the rows that are wanted of that', async () => {
    const long = Array.from({ length: 50 }, (_, i) => i % VOCAB);
    const text = { ...item(...long), numLogitRows: 30 };
    const [short, first] = await Promise.all([scheduler.submit(item(1)), scheduler.submit(text)]);
    expect(passes()).toEqual([[[1], long.slice(0, 40)]]);
    expect([short.numTokens, first.numTokens]).toEqual([1, 40]);
    expect(first.output.logits.length).toBe(20 * VOCAB); // of tokens 20 to 39
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

  it('starts within this turn for the only sequence that there is, and on the next one where others may join', async () => {
    const only = item(1);
    (await scheduler.submit(only)).release();
    const thisTurn = async () => {
      for (let i = 0; i < 10; i++) await Promise.resolve();
    };
    const again = scheduler.submit(only);
    await thisTurn();
    expect(runner.passes).toHaveLength(2);
    (await again).release();
    const second = item(2);
    const other = scheduler.submit(second); // a new one: more may come with it
    await thisTurn();
    expect(runner.passes).toHaveLength(2);
    (await other).release();
    const back = scheduler.submit(only); // the other one may come back
    await thisTurn();
    expect(runner.passes).toHaveLength(3);
    (await back).release();
    expect(runner.passes).toHaveLength(4);
    (await scheduler.submit(second)).release();
    scheduler.forget(second.cache); // it has ended
    const last = scheduler.submit(only);
    await thisTurn();
    expect(runner.passes).toHaveLength(6);
    (await last).release();
  });

  it('gives the buffers back when the last of a batch has let go', async () => {
    const [a, b] = await Promise.all([scheduler.submit(item(1)), scheduler.submit(item(2))]);
    a.release();
    expect(runner.numUnreleased).toBe(1);
    b.release();
    expect(runner.numUnreleased).toBe(0);
  });
});

describe('sequences that come back', () => {
  let clockMs = 0;
  beforeEach(() => {
    clockMs = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => clockMs);
  });
  afterEach(() => void vi.restoreAllMocks());

  /** A pass of `durationMs` over one sequence, during which another one comes; gives the two. */
  async function takeTurns(durationMs: number) {
    const { closed, open } = gate();
    runner.gate = closed;
    const [a, b] = [item(1), item(2)];
    const first = scheduler.submit(a);
    await settle();
    const second = scheduler.submit(b);
    clockMs += durationMs;
    open();
    (await first).release();
    return { a, second };
  }

  it('are waited for by those that came during their pass, so that they do not take turns for ever', async () => {
    const { a, second } = await takeTurns(40);
    await settle(); // on its way to the caller and back
    await Promise.all([second, scheduler.submit(a)]);
    expect(passes()).toEqual([[[1]], [[2], [1]]]);
  });

  it('are waited for no longer than a share of a pass', async () => {
    const { a, second } = await takeTurns(40);
    await second;
    await scheduler.submit(a);
    expect(passes()).toEqual([[[1]], [[2]], [[1]]]);
  });

  it('are not waited for after a pass that took no time to speak of', async () => {
    const { a, second } = await takeTurns(1);
    await settle();
    await Promise.all([second, scheduler.submit(a)]);
    expect(passes()).toEqual([[[1]], [[2]], [[1]]]);
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

  it('tells only the culprit when an item failed the pass of several', async () => {
    runner.brokenTokenId = 2;
    const rows = [1, 2, 3].map((id) => scheduler.submit(item(id)));
    expect(await codes(rows)).toEqual(['ran', 'model_failed', 'ran']);
    expect(passes()).toEqual([[[1], [2], [3]], [[1]], [[2]], [[3]]]);
    expect((await rows[2]!).output.logits).toEqual(Float32Array.from(rowAfter([3])));
  });

  it('does not try again, after a failed pass, what was aborted meanwhile', async () => {
    const { closed, open } = gate();
    runner.gate = closed;
    runner.brokenTokenId = 1;
    const abort = new AbortController();
    const results = codes([scheduler.submit(item(1)), scheduler.submit(item(2), abort.signal)]);
    await settle();
    abort.abort();
    open();
    expect(await results).toEqual(['model_failed', 'aborted']);
    expect(passes()).toEqual([[[1], [2]], [[1]]]);
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
