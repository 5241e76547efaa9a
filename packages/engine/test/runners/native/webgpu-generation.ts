/** Run by webgpu.test.ts in a process of its own: generates on the CPU and on WebGPU and prints what differs. */
import { argmax, open, pass, someIds } from '../fixtures.ts';

const [model = 'tiny-target'] = process.argv.slice(2);
const logged: unknown[] = [];

async function generate(executionProvider: 'cpu' | 'webgpu') {
  const runner = await open('native', model, { executionProvider, log: (_, fields) => logged.push(fields) });
  const cache = runner.createCache(8);
  const tokens: number[] = [];
  let ids = someIds(9);
  let numPast = 0;
  const step = async (target = cache) => {
    const { logits } = await pass(runner, target, numPast, ids, { numLogitRows: 1 });
    numPast += ids.length;
    tokens.push(argmax(logits));
    ids = Int32Array.of(tokens.at(-1)!);
  };
  while (numPast < 80) await step(); // grows once
  numPast = 40; // rolled back
  ids = someIds(5);
  await step();
  const fork = cache.fork(45);
  await step(fork);
  numPast = 45;
  await step();
  const { capacity } = cache;
  fork.release();
  cache.release();
  await runner.close();
  return { tokens, capacity, description: runner.description };
}

const cpu = await generate('cpu');
const webgpu = await generate('webgpu');
console.log(JSON.stringify({ cpu, webgpu, logged }));
