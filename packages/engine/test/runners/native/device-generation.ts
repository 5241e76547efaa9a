/**
 * Run by the tests of devices in a process of its own: generates on the CPU and on a device, and prints the tokens and
 * what went between host and device.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argmax, open, pass, row, someIds } from '../fixtures.ts';
import { copiesInGraph, watchTransfers } from './transfers.ts';

const [provider, model] = process.argv.slice(2) as ['webgpu' | 'cuda', string];
const logged: unknown[] = [];

async function generate(executionProvider: 'cpu' | typeof provider) {
  const runner = await open('native', model, {
    executionProvider,
    log: (_level, _message, fields) => logged.push(fields),
  });
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

/** Three sequences of different lengths, with different numbers of new tokens, in one pass: the token after each row. */
async function batch(executionProvider: 'cpu' | typeof provider): Promise<number[][]> {
  const runner = await open('native with batches', model, { executionProvider });
  const lengths = [9, 70, 20];
  const caches = lengths.map((length) => runner.createCache(length + 8));
  for (const [i, cache] of caches.entries()) await pass(runner, cache, 0, someIds(lengths[i]!, i));
  const items = caches.map((cache, i) => ({
    cache,
    numPastTokens: lengths[i]!,
    tokenIds: someIds(1 + 2 * i, 90 + i),
    numLogitRows: 1 + 2 * i,
  }));
  const { outputs, release } = await runner.forward(items);
  const width = runner.signature.headSize;
  const tokens = outputs.map(({ logits }) =>
    Array.from({ length: logits.length / width }, (_, i) => argmax(row(logits, width, i))),
  );
  release();
  for (const cache of caches) cache.release();
  await runner.close();
  return tokens;
}

const cpu = await generate('cpu');
const batches = { cpu: await batch('cpu'), device: await batch(provider) };
const folder = mkdtempSync(join(tmpdir(), 'forerunner-profile-'));
try {
  const passes = watchTransfers(join(folder, 'session'));
  const device = await generate(provider);
  console.log(JSON.stringify({ cpu, device, batches, logged, passes, copies: copiesInGraph(join(folder, 'session')) }));
} finally {
  rmSync(folder, { recursive: true });
}
