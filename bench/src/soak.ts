/**
 * Wears a runner out and watches the memory: a random mix of passes, batches, openings, rollbacks, forks, cancellations,
 * releases and whole restarts, with forced collections. Exits with 1 when resident memory keeps growing.
 *
 *   node --expose-gc bench/src/soak.ts [--steps 20000] [--model tiny-target] [--runtime native] [--batch 4] [--seed 1]
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EngineError, type KvCache, openRunner } from '@forerunner/engine';
import { seededRandom } from '@forerunner/testkit';

const MAX_SEQUENCES = 12;
/** Of one sequence, which is evicted near it: short enough that it happens often. */
const MAX_TOKENS = 255;
/** Resident memory may move by this much between the first quarter and the end; a leak of a cache a step shows at once. */
export const ALLOWED_GROWTH_MB = 24;

export interface SoakOptions {
  readonly steps: number;
  readonly model: string;
  readonly runtime: 'native' | 'node';
  readonly maxBatchItems: number;
  readonly seed: number;
}

export interface SoakReport {
  readonly counts: Readonly<Record<string, number>>;
  /** Resident memory after a collection, at eleven points of the run. */
  readonly rssMb: readonly number[];
  readonly growthMb: number;
}

interface Sequence {
  readonly cache: KvCache;
  numHeld: number;
}

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const random = seededRandom(options.seed);
  const below = (n: number) => Math.floor(random() * n);
  const collect = globalThis.gc ?? (() => {});
  const counts: Record<string, number> = {};
  const count = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  const open = () =>
    openRunner({
      modelDir: fileURLToPath(new URL(`../../models/${options.model}`, import.meta.url)),
      numThreads: 1,
      minRows: 2,
      maxBatchItems: options.maxBatchItems,
      executionProvider: 'cpu',
      deviceId: 0,
      runtime: options.runtime,
    });

  let runner = await open();
  let sequences: Sequence[] = [];
  const limit = Math.min(MAX_TOKENS, runner.signature.contextLength - 1);
  const ids = (n: number) => Int32Array.from({ length: n }, () => below(runner.signature.vocabSize));
  const rssMb: number[] = [];

  const release = (index: number) => {
    const [sequence] = sequences.splice(index, 1);
    sequence?.cache.release();
  };
  const pass = async (members: readonly Sequence[], numTokens: number, signal?: AbortSignal) => {
    const items = members.map(({ cache, numHeld }) => ({
      cache,
      numPastTokens: numHeld,
      tokenIds: ids(numTokens),
      numLogitRows: below(numTokens + 1),
    }));
    const batch = await runner.forward(items, signal);
    for (const { logits } of batch.outputs) {
      if (logits.length > 0 && !Number.isFinite(logits[0])) throw new Error('logits are not numbers');
    }
    batch.release();
    for (const member of members) member.numHeld += numTokens;
  };

  for (let step = 0; step < options.steps; step++) {
    if (step % Math.ceil(options.steps / 10) === 0) rssMb.push(await settledRssMb(collect));
    if (sequences.length === 0 || (sequences.length < MAX_SEQUENCES && random() < 0.05)) {
      const sequence = { cache: runner.createCache(1 + below(64)), numHeld: 0 };
      sequences.push(sequence);
      await pass([sequence], 1 + below(100));
      count('open');
    }
    const index = below(sequences.length);
    const sequence = sequences[index]!;
    if (sequence.numHeld + 110 > limit) {
      release(index);
      count('evict');
      continue;
    }
    const dice = random();
    if (dice < 0.1) {
      sequence.numHeld = below(sequence.numHeld + 1);
      count('rollback');
    } else if (dice < 0.15 && sequences.length < MAX_SEQUENCES) {
      const numHeld = below(sequence.numHeld + 1);
      sequences.push({ cache: sequence.cache.fork(numHeld), numHeld });
      count('fork');
    } else if (dice < 0.2) {
      const abort = new AbortController();
      const isEarly = random() < 0.5;
      if (isEarly) abortOnceHeard(abort);
      const passing = pass([sequence], 100, abort.signal).then(
        () => count('finished before the cancellation'),
        (error: unknown) => {
          if (!(error instanceof EngineError && error.code === 'aborted')) throw error;
          count('cancel');
        },
      );
      if (!isEarly) setImmediate(() => abort.abort()); // on a busy host the pass may be over by then
      await passing;
    } else if (dice < 0.22) {
      release(index);
      count('release');
    } else if (dice < 0.2205) {
      const passing = pass([sequence], 50);
      const closing = runner.close();
      await passing.catch(() => {});
      await closing;
      for (const { cache } of sequences) cache.release();
      sequences = [];
      runner = await open();
      count('restart');
    } else {
      const others = sequences.filter((other) => other !== sequence && other.numHeld + 20 < limit);
      const members = [sequence, ...others.slice(0, below(options.maxBatchItems))];
      await pass(members, 1 + below(9));
      count(members.length > 1 ? 'batch' : 'pass');
    }
    if (step % 500 === 0) collect();
  }
  for (const { cache } of sequences) cache.release();
  rssMb.push(await settledRssMb(collect));
  await runner.close();
  return { counts, rssMb, growthMb: Math.max(...rssMb.slice(-3)) - Math.max(...rssMb.slice(2, 5)) };
}

async function settledRssMb(collect: () => void): Promise<number> {
  for (let i = 0; i < 2; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return Math.round(process.memoryUsage.rss() / 1e5) / 10;
}

/** Aborts when the runner first listens: the pass has its turn and has not begun, so it is cancelled however busy the host. */
function abortOnceHeard(abort: AbortController): void {
  const { signal } = abort;
  const listen = signal.addEventListener.bind(signal) as (...given: unknown[]) => void;
  signal.addEventListener = (...given: unknown[]) => {
    listen(...given);
    abort.abort();
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '20000' },
      model: { type: 'string', default: 'tiny-target' },
      runtime: { type: 'string', default: 'native' },
      batch: { type: 'string', default: '4' },
      seed: { type: 'string', default: '1' },
    },
  });
  if (!globalThis.gc) console.log('without --expose-gc the memory figures include garbage');
  const started = performance.now();
  const report = await soak({
    steps: Number(values.steps),
    model: values.model,
    runtime: values.runtime as 'native' | 'node',
    maxBatchItems: Number(values.batch),
    seed: Number(values.seed),
  });
  console.log({ ...report, seconds: Math.round((performance.now() - started) / 1000) });
  process.exitCode = report.growthMb > ALLOWED_GROWTH_MB ? 1 : 0;
}
