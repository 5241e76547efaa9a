/**
 * `node bench/src/clients.ts`: tokens per second in total for 1, 2, 4, … clients at once, each of which asks again as soon
 * as it has its answer, through HTTP. Variants take turns within each number of clients; the first row of a table is what
 * the others are compared with. Greedy texts are compared with those of one client.
 *
 *   node bench/src/clients.ts [--clients 1,2,4,8,16,32] [--tokens 48] [--rounds 3] [--temperatures 0,0.8]
 *                             [--target 135m] [--draft 135m-feature-draft] [--target-dir FOLDER] [--batch 8]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Answer, generate, startTrio } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';
import { median } from './stats.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1,2,4,8,16,32' },
    tokens: { type: 'string', default: '48' },
    rounds: { type: 'string', default: '3' },
    temperatures: { type: 'string', default: '0,0.8' },
    target: { type: 'string', default: '135m' },
    draft: { type: 'string', default: '135m-feature-draft' },
    'target-dir': { type: 'string' },
    batch: { type: 'string', default: '8' },
  },
});
const numbers = (text: string) => text.split(',').map(Number);
const maxNewTokens = Number(values.tokens);

interface Variant {
  readonly name: string;
  readonly request: Readonly<Record<string, unknown>>;
}

interface Measured {
  readonly tokensPerSecond: number;
  readonly texts: readonly string[];
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
  const expected = temperature === 0 ? await textsOfOneClient(variants[0]!) : null;
  const rows: Record<string, Record<string, string | number>> = {};
  const alone = new Map<string, number>();
  for (const numClients of numbers(values.clients)) {
    const measured = new Map(variants.map(({ name }) => [name, [] as Measured[]]));
    for (let round = 0; round < Number(values.rounds); round++) {
      for (let i = 0; i < variants.length; i++) {
        const variant = variants[(round + i) % variants.length]!;
        measured.get(variant.name)!.push(await clientsAtOnce(variant, numClients));
      }
    }
    for (const { name } of variants) {
      const runs = measured.get(name)!;
      const rate = median(runs.map(({ tokensPerSecond }) => tokensPerSecond));
      alone.set(name, alone.get(name) ?? rate);
      const worst = Math.min(...runs.map(({ tokensPerSecond }) => tokensPerSecond));
      const differing = runs
        .flatMap(({ texts }) => texts)
        .filter((text, i) => expected && text !== expected[i % numClients]);
      rows[`${numClients} clients, ${name}`] = {
        'tokens/s in total': rate.toFixed(1),
        'worst of the rounds': worst.toFixed(1),
        'to one client': (rate / alone.get(name)!).toFixed(2),
        'to the target alone': (rate / median(measured.get('target alone')!.map((run) => run.tokensPerSecond))).toFixed(
          2,
        ),
        'texts that differ': expected ? `${differing.length} of ${runs.length * numClients}` : '–',
      };
      report.push({ temperature, numClients, variant: name, tokensPerSecond: runs.map((run) => run.tokensPerSecond) });
    }
  }
  console.log(`\n${temperature === 0 ? 'greedy' : `temperature ${temperature}`}, ${maxNewTokens} tokens an answer`);
  console.table(rows);
}

/** Each client's answer when nobody else asks. */
async function textsOfOneClient(variant: Variant): Promise<string[]> {
  const texts: string[] = [];
  for (let client = 0; client < Math.max(...numbers(values.clients)); client++) {
    texts.push((await ask(variant, client)).token_ids.join());
  }
  return texts;
}

/** Every client asks once; the answers are equally long, so that all are busy for about as long. */
async function clientsAtOnce(variant: Variant, numClients: number): Promise<Measured> {
  const startedMs = performance.now();
  const answers = await Promise.all(Array.from({ length: numClients }, (_, client) => ask(variant, client)));
  const seconds = (performance.now() - startedMs) / 1000;
  const numTokens = answers.reduce((sum, answer) => sum + answer.token_ids.length, 0);
  return { tokensPerSecond: numTokens / seconds, texts: answers.map((answer) => answer.token_ids.join()) };
}

function ask({ request }: Variant, client: number): Promise<Answer> {
  return generate(trio.coordinator.url, {
    messages: [{ role: 'user', content: PROMPTS[client % PROMPTS.length]! }],
    max_new_tokens: maxNewTokens,
    ignore_eos: true,
    seed: client + 1,
    ...request,
  });
}
