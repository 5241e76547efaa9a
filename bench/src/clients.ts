/**
 * `node bench/src/clients.ts`: tokens per second in total for 1, 2, 4, … clients at once, each of which asks again as soon
 * as it has its answer, streamed, through HTTP. A measurement lasts so many seconds and counts the tokens that arrive in
 * them: no client waits for another, so the passes stay full to the end whatever lengths rounds have. Variants take turns
 * within each number of clients; the first row of a table is what the others are compared with. Greedy answers are
 * compared with those of one client.
 *
 *   node bench/src/clients.ts [--clients 1,2,4,8,16,32] [--tokens 48] [--seconds 6] [--rounds 5] [--temperatures 0,0.8]
 *                             [--target 135m] [--draft 135m-feature-draft] [--target-dir FOLDER] [--batch 8]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Answer, generate, startTrio, streamEvents } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';
import { median } from './stats.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1,2,4,8,16,32' },
    tokens: { type: 'string', default: '48' },
    seconds: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '5' },
    temperatures: { type: 'string', default: '0,0.8' },
    target: { type: 'string', default: '135m' },
    draft: { type: 'string', default: '135m-feature-draft' },
    'target-dir': { type: 'string' },
    batch: { type: 'string', default: '8' },
  },
});
const numbers = (text: string) => text.split(',').map(Number);
const maxNewTokens = Number(values.tokens);
/** Before tokens are counted: clients that began at once are no longer in step, and caches hold their prompts. */
const RAMP_MS = 1500;

interface Variant {
  readonly name: string;
  readonly request: Readonly<Record<string, unknown>>;
}

interface Measured {
  readonly tokensPerSecond: number;
  readonly numAnswers: number;
  /** Answers that are not those of one client. */
  readonly numDifferent: number;
}

const trio = await startTrio({
  target: values.target,
  draft: values.draft,
  env: { LOG_LEVEL: 'warn' },
  targetEnv: { BATCH_SIZE: values.batch, ...(values['target-dir'] && { MODEL_DIR: values['target-dir'] }) },
  coordinatorEnv: {
    MAX_CONCURRENT_REQUESTS: '32',
    MAX_DRAFT_TOKENS: '16',
  },
});
const report: object[] = [];
try {
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}`);
  for (const temperature of numbers(values.temperatures)) await measure(temperature);
} finally {
  await trio.stop();
}
const directory = join(import.meta.dirname, '..', 'results');
mkdirSync(directory, { recursive: true });
const file = join(directory, `clients-${new Date().toISOString().replaceAll(':', '-')}.json`);
writeFileSync(file, `${JSON.stringify({ options: values, report }, null, 1)}\n`);
console.log(`\nEvery value: ${file}`);

async function measure(temperature: number): Promise<void> {
  const variants: Variant[] = [
    { name: 'target alone', request: { temperature, speculative: false } },
    { name: 'draft_k auto', request: { temperature } },
    { name: 'draft_k 4', request: { temperature, draft_k: 4, min_confidence: 0.7 } },
  ];
  for (const variant of variants) await ask(variant, 0); // warm-up
  const expected = temperature === 0 ? await answersOfOneClient(variants[0]!) : null;
  const rows: Record<string, Record<string, string | number>> = {};
  const alone = new Map<string, number>();
  for (const numClients of numbers(values.clients)) {
    const measured = new Map(variants.map(({ name }) => [name, [] as Measured[]]));
    for (let round = 0; round < Number(values.rounds); round++) {
      for (let i = 0; i < variants.length; i++) {
        const variant = variants[(round + i) % variants.length]!;
        measured.get(variant.name)!.push(await clientsAtOnce(variant, numClients, expected));
      }
    }
    for (const { name } of variants) {
      const runs = measured.get(name)!;
      const rate = median(runs.map(({ tokensPerSecond }) => tokensPerSecond));
      alone.set(name, alone.get(name) ?? rate);
      const worst = Math.min(...runs.map(({ tokensPerSecond }) => tokensPerSecond));
      const sum = (read: (run: Measured) => number) => runs.reduce((total, run) => total + read(run), 0);
      rows[`${numClients} clients, ${name}`] = {
        'tokens/s in total': rate.toFixed(1),
        'worst of the rounds': worst.toFixed(1),
        'to one client': (rate / alone.get(name)!).toFixed(2),
        'to the target alone': (rate / median(measured.get('target alone')!.map((run) => run.tokensPerSecond))).toFixed(
          2,
        ),
        'answers that differ': expected
          ? `${sum(({ numDifferent }) => numDifferent)} of ${sum(({ numAnswers }) => numAnswers)}`
          : '–',
      };
      report.push({ temperature, numClients, variant: name, tokensPerSecond: runs.map((run) => run.tokensPerSecond) });
    }
  }
  console.log(`\n${temperature === 0 ? 'greedy' : `temperature ${temperature}`}, ${maxNewTokens} tokens an answer`);
  console.table(rows);
}

/** Token ids of the answer to each prompt when nobody else asks. */
async function answersOfOneClient(variant: Variant): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < PROMPTS.length; i++) answers.push((await ask(variant, i)).token_ids.join());
  return answers;
}

/** Each client goes through the prompts, from one of its own on, until the time is over. */
async function clientsAtOnce(
  variant: Variant,
  numClients: number,
  expected: readonly string[] | null,
): Promise<Measured> {
  const ended = new AbortController();
  let [numTokens, numAnswers, numDifferent, isCounting] = [0, 0, 0, false];
  const client = async (first: number) => {
    for (let i = first; !ended.signal.aborted; i += 1) {
      const tokenIds: number[] = [];
      for await (const { data } of streamEvents(trio.coordinator.url, bodyOf(variant, i), ended.signal)) {
        const { metrics, token_ids = [] } = data as Partial<Answer>;
        if (metrics) continue; // the summary
        if (isCounting) numTokens += token_ids.length;
        tokenIds.push(...token_ids);
      }
      numAnswers++;
      if (expected && tokenIds.join() !== expected[i % PROMPTS.length]) numDifferent++;
    }
  };
  const stride = Math.floor(PROMPTS.length / numClients) || 1;
  const clients = Array.from({ length: numClients }, (_, c) =>
    client(c * stride).catch((error: Error) => {
      if (!ended.signal.aborted) throw error;
    }),
  );
  await Promise.race([sleep(RAMP_MS), Promise.all(clients)]);
  isCounting = true;
  const startedMs = performance.now();
  await Promise.race([sleep(1000 * Number(values.seconds)), Promise.all(clients)]);
  const seconds = (performance.now() - startedMs) / 1000;
  isCounting = false;
  ended.abort();
  await Promise.all(clients);
  return { tokensPerSecond: numTokens / seconds, numAnswers, numDifferent };
}

function ask(variant: Variant, i: number): Promise<Answer> {
  return generate(trio.coordinator.url, bodyOf(variant, i));
}

function bodyOf({ request }: Variant, i: number): object {
  return {
    messages: [{ role: 'user', content: PROMPTS[i % PROMPTS.length]! }],
    max_new_tokens: maxNewTokens,
    ignore_eos: true,
    seed: i + 1,
    ...request,
  };
}
