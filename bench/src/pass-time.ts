/**
 * What one pass costs by rows and by the capacity of the cache, side by side: the native runner and, on the CPU, the
 * onnxruntime-node runner and ONNX Runtime's own Python io_binding where `python3 -c "import onnxruntime, numpy"` works. All take turns
 * within one run, so that a busy host slows all alike. The cache holds 64 tokens whatever its capacity: a runtime that
 * copies caches shows in the columns to the right.
 *
 *   node bench/src/pass-time.ts [--model smollm2-135m-instruct-int8 | a folder] [--threads 1] [--rounds 20]
 *     [--capacities 128,1024,4096] [--provider cpu | cuda | webgpu]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openRunner, THREADING_OPTIONS } from '@forerunner/engine';
import { quantile } from './stats.ts';

const ROWS = [1, 2, 3, 5, 9, 17];
const PAST = 64;

/** Of one pass, in milliseconds. On a busy host the CPU time is the steadier of the two. */
interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

interface Stepper {
  readonly name: string;
  step(capacity: number, numRows: number): Promise<Cost>;
  close(): Promise<void>;
}

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'smollm2-135m-instruct-int8' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '20' },
    capacities: { type: 'string', default: '128,1024,4096' },
    provider: { type: 'string', default: 'cpu' },
  },
});
const modelDir = resolve(import.meta.dirname, '../../models', values.model);
const onCpu = values.provider === 'cpu';
const numThreads = Number(values.threads);
const capacities = values.capacities.split(',').map(Number);

async function openStepper(runtime: 'native' | 'node'): Promise<Stepper> {
  const runner = await openRunner({
    modelDir,
    numThreads,
    minRows: 1,
    maxBatchItems: 1,
    executionProvider: values.provider as 'cpu' | 'cuda' | 'webgpu',
    deviceId: 0,
    runtime,
  });
  const caches = new Map<number, ReturnType<typeof runner.createCache>>();
  for (const capacity of capacities) {
    const cache = runner.createCache(capacity);
    const prefix = { cache, numPastTokens: 0, tokenIds: new Int32Array(PAST).fill(7), numLogitRows: 0 };
    (await runner.forward([prefix])).release();
    caches.set(capacity, cache);
  }
  return {
    name: runtime,
    async step(capacity, numRows) {
      const tokenIds = new Int32Array(numRows).fill(7);
      const cache = caches.get(capacity)!;
      const [started, cpu] = [performance.now(), process.cpuUsage()];
      (await runner.forward([{ cache, numPastTokens: PAST, tokenIds, numLogitRows: numRows }])).release();
      const wall = performance.now() - started;
      const { user, system } = process.cpuUsage(cpu);
      return { wall, cpu: (user + system) / 1000 };
    },
    close: () => runner.close(),
  };
}

async function openPython(): Promise<Stepper | undefined> {
  const script = fileURLToPath(new URL('./pass-time.py', import.meta.url));
  const options = JSON.stringify(THREADING_OPTIONS);
  const child = spawn('python3', [script, `${modelDir}/model.onnx`, String(numThreads), options], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failed = once(child, 'error').then(() => ({ done: true, value: undefined }));
  if ((await Promise.race([lines.next(), failed])).value !== 'ready') return undefined;
  return {
    name: 'io_binding',
    async step(capacity, rows) {
      child.stdin.write(`${JSON.stringify({ capacity, rows, past: PAST })}\n`);
      const [wall = Number.NaN, cpu = Number.NaN] = String((await lines.next()).value)
        .split(' ')
        .map(Number);
      return { wall, cpu };
    },
    async close() {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

const python = onCpu ? await openPython() : undefined;
if (onCpu && !python) console.log('no Python with onnxruntime and numpy here: io_binding is left out');
const steppers = [
  await openStepper('native'),
  ...(onCpu ? [await openStepper('node')] : []),
  ...(python ? [python] : []),
];
const samples = new Map<string, Cost[]>();
for (let round = 0; round < Number(values.rounds) + 2; round++) {
  for (const capacity of capacities) {
    for (const rows of ROWS) {
      for (const stepper of steppers) {
        const cost = await stepper.step(capacity, rows);
        const key = `${stepper.name} ${rows} ${capacity}`;
        if (round >= 2) samples.set(key, [...(samples.get(key) ?? []), cost]);
      }
    }
  }
}
for (const stepper of steppers) await stepper.close();

console.log(
  `${values.model} on ${values.provider}, ${numThreads} thread(s), ${values.rounds} rounds; ms a pass, median and lower quartile`,
);
for (const kind of ['wall', 'cpu'] as const) {
  console.log(`\n${kind} time`);
  console.table(
    steppers.flatMap(({ name }) =>
      ROWS.map((rows) => ({
        runtime: name,
        rows,
        ...Object.fromEntries(
          capacities.map((capacity) => {
            const costs = samples.get(`${name} ${rows} ${capacity}`)!.map((cost) => cost[kind]);
            return [`capacity ${capacity}`, [0.5, 0.25].map((q) => quantile(costs, q).toFixed(2)).join(' / ')];
          }),
        ),
      })),
    ),
  );
}
