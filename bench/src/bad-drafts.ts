/**
 * `node bench/src/bad-drafts.ts`: what answers lose to a draft that is of no use (random weights), far away (+20 ms a call)
 * or dying (killed every three seconds), each beside the target alone on the same coordinator, in turns, prompt by prompt,
 * through HTTP. Exits 1 when an answer differs from the target's own.
 *
 *   node bench/src/bad-drafts.ts [--prompts 16] [--tokens 64] [--temperatures 0,0.8] [--drafts good,useless,far,dying]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { importCheckpoint, openCheckpoint } from '@forerunner/model-import';
import { type Answer, FaultProxy, freePort, generate, ServiceProcess } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';
import { writeRandomCheckpoint } from './random-checkpoint.ts';
import { median } from './stats.ts';

const { values } = parseArgs({
  options: {
    prompts: { type: 'string', default: '16' },
    tokens: { type: 'string', default: '64' },
    temperatures: { type: 'string', default: '0,0.8' },
    drafts: { type: 'string', default: 'good,useless,far,dying' },
  },
});
const KILL_EVERY_MS = 3000;
const ADDED_MS = 20;
/** As deep and wide as a classic draft of the embedded target would be, one layer. */
const USELESS = { hidden: 576, intermediate: 1536, heads: 9, kvHeads: 3, headDim: 64, layers: 1 };

const directory = mkdtempSync(join(tmpdir(), 'forerunner-bad-drafts-'));
const services: ServiceProcess[] = [];
const stopping = new AbortController();
let numDifferent = 0;
try {
  await main();
} finally {
  stopping.abort();
  await Promise.all(services.map((service) => service.end('SIGKILL')));
  rmSync(directory, { recursive: true, force: true });
}
process.exitCode = numDifferent > 0 ? 1 : 0;

async function main(): Promise<void> {
  const target = await start('target-service', { MODEL_SIZE: '135m' });
  const killings: Promise<number>[] = [];
  const startDraft = (more: Record<string, string> = {}) =>
    start('draft-service', { MODEL_SIZE: '135m-feature-draft', ...more });
  /** Where each kind of draft answers. */
  const kinds: Record<string, () => Promise<string>> = {
    good: async () => (await startDraft()).url,
    useless: async () => (await startDraft({ MODEL_DIR: await randomDraft() })).url,
    far: async () => {
      const proxy = await FaultProxy.start((await startDraft()).port);
      stopping.signal.addEventListener('abort', () => proxy.close());
      await proxy.set({ latencyMs: ADDED_MS / 2 }); // each way
      return proxy.url;
    },
    dying: async () => {
      const draft = await startDraft();
      killings.push(killAgainAndAgain(draft));
      return draft.url;
    },
  };
  const coordinators: Record<string, ServiceProcess> = {};
  for (const name of values.drafts.split(',')) {
    const open = kinds[name];
    if (!open) throw new Error(`--drafts: must be among ${Object.keys(kinds).join(', ')}, got "${name}"`);
    const env = { MODEL_SIZE: '135m', TARGET_ENDPOINT: target.url, DRAFT_ENDPOINT: await open() };
    coordinators[name] = await start('speculative-coordinator', env);
  }
  for (const temperature of values.temperatures.split(',').map(Number)) await measure(coordinators, temperature);
  stopping.abort();
  for (const numKills of await Promise.all(killings)) console.log(`the dying one was killed ${numKills} times`);
  console.log(`${numDifferent} answers differ from the target's own`);
}

async function measure(coordinators: Record<string, ServiceProcess>, temperature: number): Promise<void> {
  const ratios: Record<string, number[]> = Object.fromEntries(Object.keys(coordinators).map((name) => [name, []]));
  const numDrafts: Record<string, number> = {};
  for (let i = 0; i < Number(values.prompts); i++) {
    for (const [name, { url }] of Object.entries(coordinators)) {
      const ask = (more: object) =>
        generate(url, {
          messages: [{ role: 'user', content: PROMPTS[i % PROMPTS.length] }],
          max_new_tokens: Number(values.tokens),
          ignore_eos: true,
          temperature,
          seed: i + 1,
          ...more,
        });
      await ask({ max_new_tokens: 1, speculative: false }); // caches the prompt for both
      const both = new Map<string, Answer>();
      const ways = [{ speculative: false }, {}];
      for (const way of i % 2 === 0 ? ways : ways.reverse()) both.set(Object.keys(way).join(), await ask(way));
      const [alone, auto] = [both.get('speculative')!, both.get('')!];
      if (auto.token_ids.join() !== alone.token_ids.join()) numDifferent++;
      ratios[name]!.push(auto.metrics.decode_tokens_per_second / alone.metrics.decode_tokens_per_second);
      numDrafts[name] = (numDrafts[name] ?? 0) + auto.metrics.speculative_decoding.by_source.draft.num_drafts;
    }
  }
  console.log(`temperature ${temperature}, ${values.prompts} prompts x ${values.tokens} tokens, auto / target alone`);
  console.table(
    Object.fromEntries(
      Object.entries(ratios).map(([name, of]) => [
        name,
        {
          median: median(of).toFixed(2),
          mean: (of.reduce((sum, ratio) => sum + ratio, 0) / of.length).toFixed(2),
          worst: Math.min(...of).toFixed(2),
          'below 0.97': of.filter((ratio) => ratio < 0.97).length,
          'rounds drafted': numDrafts[name],
        },
      ]),
    ),
  );
}

async function start(name: ServiceProcess['name'], env: Record<string, string>): Promise<ServiceProcess> {
  const service = new ServiceProcess(name, await freePort(), { LOG_LEVEL: 'warn', ...env });
  services.push(service);
  await service.start();
  return service;
}

async function randomDraft(): Promise<string> {
  const [checkpoint, model] = [join(directory, 'checkpoint'), join(directory, 'model')];
  writeRandomCheckpoint(checkpoint, USELESS, 1);
  importCheckpoint(openCheckpoint(checkpoint), model, { precision: 'int8' });
  return model;
}

/** Until the end. Resolves to how often. */
async function killAgainAndAgain(draft: ServiceProcess): Promise<number> {
  for (let numKills = 0; ; numKills++) {
    await sleep(KILL_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {});
    if (stopping.signal.aborted) return numKills;
    await draft.end('SIGKILL');
    await draft.start();
  }
}
