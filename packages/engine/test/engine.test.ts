import { TokenPrefix } from '@forerunner/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import type { AcquireRequest } from '../src/acquire-request.ts';
import { Engine, type EngineOptions } from '../src/engine.ts';
import { EngineError } from '../src/errors.ts';
import type { SequenceLease } from '../src/sequence-lease.ts';
import { gate, rowAfter, settle, ToyRunner, VOCAB } from './toy-runner.ts';

let engine: Engine;
let runner: ToyRunner;

afterEach(() => engine.close());

async function open(options: Partial<EngineOptions> = {}, toy = new ToyRunner()): Promise<void> {
  runner = toy;
  engine = await Engine.on(runner, {
    minRows: 2,
    maxBatchItems: 4,
    maxPassTokens: 256,
    kvBudgetBytes: 1e6,
    idleTtlMs: 60_000,
    sharesPrefixes: true,
    prefillChunkTokens: 4,
    maxRequests: 3,
    ...options,
  });
  runner.passes.length = 0;
}

const text = (length: number, first = 0) => Array.from({ length }, (_, i) => (first + i * i) % VOCAB);

function request(sequenceId: string, before: number[], tokenIds: number[], more: Partial<AcquireRequest> = {}) {
  const prefix = new TokenPrefix();
  prefix.append(before);
  const prefixDigest = prefix.digestAt(before.length);
  const position = before.length;
  return {
    sequenceId,
    position,
    prefixDigest,
    scope: '',
    tokenIds: Int32Array.from(tokenIds),
    numReusable: 0,
    ...more,
  };
}

/** The rows of the last `numRows` tokens. */
function rowsOf(acquire: AcquireRequest, numRows: number): Promise<number[][]> {
  return engine.run(acquire, (lease) => appendRows(lease, acquire.tokenIds, numRows));
}

async function appendRows(lease: SequenceLease, tokenIds: Int32Array, numRows: number): Promise<number[][]> {
  const rows: number[][] = [];
  await lease.append(tokenIds.subarray(lease.numReusedTokens), {
    numLogitRows: numRows,
    onLogits: (part, first) => {
      for (let i = 0; i < part.length / VOCAB; i++) {
        rows[first + i] = Array.from(part.subarray(i * VOCAB, (i + 1) * VOCAB));
      }
    },
  });
  return rows;
}

const expected = (tokens: number[], numRows: number) =>
  Array.from({ length: numRows }, (_, i) => {
    const row = rowAfter(tokens.slice(0, tokens.length - numRows + i + 1));
    return Array.from(Float32Array.from(row));
  });

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof EngineError ? error.code : String(error)),
  );

describe('rows', () => {
  it.each([1, 2, 5, 11])('gives the last %i rows of a prompt that takes several chunks', async (numRows) => {
    await open();
    expect(await rowsOf(request('a', [], text(11)), numRows)).toEqual(expected(text(11), numRows));
    expect(runner.passes.map((pass) => pass.tokenIds[0]!.length)).toEqual([4, 4, 3]);
  });

  it('gives after a rollback what a fresh sequence gives', async () => {
    await open();
    await rowsOf(request('a', [], text(9)), 1);
    const changed = [...text(6), 7, 8];
    expect(await rowsOf(request('a', text(6), [7, 8]), 2)).toEqual(expected(changed, 2));
  });

  it('gives the same rows for a repeated request', async () => {
    await open();
    const once = await rowsOf(request('a', [], text(5)), 2);
    expect(await rowsOf(request('a', [], text(5)), 2)).toEqual(once);
  });

  it('gives the same rows with and without a shared prefix, and computes only the rest', async () => {
    await open({ prefillChunkTokens: 64 });
    const tokens = text(20);
    await rowsOf(request('a', [], tokens), 1);
    runner.passes.length = 0;
    expect(await rowsOf(request('b', [], tokens, { numReusable: 19 }), 1)).toEqual(expected(tokens, 1));
    expect(runner.passes).toEqual([{ tokenIds: [[tokens[19]]] }]);
  });

  it('gives hidden states of every token', async () => {
    await open();
    const seen: number[] = [];
    const acquire = request('a', [], text(6));
    await engine.run(acquire, (lease) =>
      lease.append(acquire.tokenIds, { onHiddenStates: (part, first) => seen.push(first, ...part) }),
    );
    expect(seen).toEqual([0, 0, 1, 2, 3, 4, 4, 5]); // two chunks, each led by its first row
  });

  it('lets a lease take tokens back and go on', async () => {
    await open();
    const acquire = request('a', [], text(5));
    const rows = await engine.run(acquire, async (lease) => {
      await lease.append(acquire.tokenIds);
      lease.rollbackTo(3);
      return rowAfterAppend(lease, 9);
    });
    expect(rows).toEqual(expected([...text(3), 9], 1));
  });

  async function rowAfterAppend(lease: SequenceLease, id: number): Promise<number[][]> {
    const rows: number[][] = [];
    await lease.append(Int32Array.of(id), { numLogitRows: 1, onLogits: (part) => rows.push(Array.from(part)) });
    return rows;
  }
});

describe('fairness', () => {
  it.each([
    ['in the same pass', 4],
    ['in between, where sequences take turns', 1],
  ])('a short request goes with the chunks of a long prompt: %s', async (_how, maxBatchItems) => {
    await open({ maxBatchItems });
    const ended: string[] = [];
    await Promise.all([
      rowsOf(request('long', [], text(40)), 1).then(() => ended.push('long')),
      rowsOf(request('short', [], text(2)), 1).then(() => ended.push('short')),
    ]);
    expect(ended).toEqual(['short', 'long']);
    const passes = runner.passes.map((pass) => pass.tokenIds);
    if (maxBatchItems === 1) expect(passes[1]).toEqual([text(2)]);
    else expect(passes[0]).toEqual([text(2), text(4)]);
  });
});

describe('refusals', () => {
  it('names a token outside the vocabulary before anything runs', async () => {
    await open();
    expect(await codeOf(rowsOf(request('a', [], [1, 2, VOCAB]), 1))).toBe('token_out_of_range');
    expect(await codeOf(rowsOf(request('a', [], [-1]), 1))).toBe('token_out_of_range');
    expect(runner.passes).toEqual([]);
  });

  it('takes a text as long as the context, less the pad row, and no longer', async () => {
    await open();
    expect(engine.contextLength).toBe(63);
    expect(await rowsOf(request('a', [], text(63)), 1)).toEqual(expected(text(63), 1));
    const error = await rowsOf(request('b', [], text(64)), 1).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'context_overflow', message: '64 tokens exceed the context of 63' });
    const appended = engine.run(request('a', text(63), []), (lease) => lease.append(Int32Array.of(1)));
    expect(await codeOf(appended)).toBe('context_overflow');
  });

  it('refuses more requests than it may take, and takes them again later', async () => {
    await open();
    const { closed, open: openGate } = gate();
    runner.gate = closed;
    const taken = ['a', 'b', 'c'].map((id) => rowsOf(request(id, [], [1]), 1));
    await settle();
    expect(await codeOf(rowsOf(request('d', [], [1]), 1))).toBe('overloaded');
    openGate();
    await Promise.all(taken);
    expect(await codeOf(rowsOf(request('d', [], [1]), 1))).toBe('no error');
  });

  it('keeps a sequence usable after a pass that failed and after one that was aborted', async () => {
    await open();
    await rowsOf(request('a', [], text(4)), 1);
    runner.failure = new EngineError('model_failed', 'broken');
    expect(await codeOf(rowsOf(request('a', text(4), [1]), 1))).toBe('model_failed');
    runner.failure = undefined;
    const abort = new AbortController();
    const { closed, open: openGate } = gate();
    runner.gate = closed;
    const lost = codeOf(rowsOf(request('a', text(4), [2], { signal: abort.signal }), 1));
    await settle();
    abort.abort();
    openGate();
    expect(await lost).toBe('aborted');
    expect(await rowsOf(request('a', text(4), [3]), 1)).toEqual(expected([...text(4), 3], 1));
  });

  it('keeps the chunks that an aborted prefill got through', async () => {
    await open();
    const abort = new AbortController();
    const acquire = request('a', [], text(12), { signal: abort.signal });
    const lost = engine.run(acquire, (lease) =>
      lease.append(acquire.tokenIds, { onHiddenStates: (_, first) => first === 4 && abort.abort() }),
    );
    expect(await codeOf(lost)).toBe('aborted');
    expect(await rowsOf(request('a', text(8), [3]), 1)).toEqual(expected([...text(8), 3], 1));
  });

  it('ends a request whose sequence was freed between its passes', async () => {
    await open();
    const acquire = request('a', [], text(12));
    const lost = engine.run(acquire, (lease) =>
      lease.append(acquire.tokenIds, { onHiddenStates: () => engine.freeSequence('a') }),
    );
    expect(await codeOf(lost)).toBe('sequence_mismatch');
    expect(engine.takeStats()).toMatchObject({ numSequences: 0, kvBytes: 0 });
  });
});

describe('an engine', () => {
  it.each([
    ['bit-exact', {}],
    ['tolerance', { isInexactAlone: true }],
    ['tolerance', { isInexactInBatches: true }],
  ])('says whether rows depend on the shape of a pass: %s', async (regime, flaws) => {
    await open({}, Object.assign(new ToyRunner(), flaws));
    expect(engine.numericRegime).toBe(regime);
  });

  it('counts passes since the statistics were last taken', async () => {
    await open();
    engine.takeStats();
    await rowsOf(request('a', [], text(6)), 1);
    expect(engine.takeStats().passes.map((pass) => pass.numTokens)).toEqual([4, 2]);
    expect(engine.takeStats().passes).toEqual([]);
  });

  it('measures waiting apart from computing', async () => {
    await open();
    const timing = await engine.run(request('a', [], [1]), async (lease) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await lease.append(Int32Array.of(1));
      await new Promise((resolve) => setTimeout(resolve, 20));
      return lease.timing;
    });
    expect(timing.queueMs).toBeGreaterThan(15);
    expect(timing.modelMs).toBeLessThan(15);
  });

  it('frees everything when it closes, and closes the runner', async () => {
    await open();
    await rowsOf(request('a', [], text(6)), 1);
    await engine.close();
    expect(engine.takeStats()).toMatchObject({ numSequences: 0, kvBytes: 0 });
    expect(runner.isClosed).toBe(true);
    expect(await codeOf(rowsOf(request('a', [], text(6)), 1))).toBe('closed');
  });
});
