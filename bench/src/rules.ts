/**
 * `node bench/src/rules.ts`: what each verification rule gives at several temperatures and filters, through HTTP: acceptance,
 * tokens per round, bytes per round, tokens per second, and the ratio to the target alone. Variants take turns prompt by
 * prompt, so that they share the noise of the machine.
 *
 *   node bench/src/rules.ts [--prompts 15] [--tokens 64] [--k 4] [--min-confidence 0] [--clients 1]
 *                           [--temperatures 0.7,1] [--top-ps 1,0.9] [--no-greedy]
 *                           [--rules coupled,rejection,block] [--target 135m] [--draft 135m-feature-draft]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Answer, generate, scrape, startTrio, sumOf } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';
import { median } from './stats.ts';

const { values } = parseArgs({
  options: {
    prompts: { type: 'string', default: '15' },
    tokens: { type: 'string', default: '64' },
    k: { type: 'string', default: '4' },
    'min-confidence': { type: 'string', default: '0' },
    clients: { type: 'string', default: '1' },
    temperatures: { type: 'string', default: '0.7,1' },
    'top-ps': { type: 'string', default: '1,0.9' },
    rules: { type: 'string', default: 'coupled,rejection,block' },
    'no-greedy': { type: 'boolean', default: false },
    target: { type: 'string', default: '135m' },
    draft: { type: 'string', default: '135m-feature-draft' },
  },
});
const numbers = (text: string) => text.split(',').map(Number);
const numClients = Number(values.clients);
const prompts = PROMPTS.slice(0, Number(values.prompts));
const length = { draft_k: Number(values.k), min_confidence: Number(values['min-confidence']) };

interface Variant {
  readonly name: string;
  readonly request: Readonly<Record<string, unknown>>;
}

interface Row {
  readonly name: string;
  readonly acceptance: number | null;
  readonly tokensPerRound: number;
  readonly bytesPerRound: number;
  readonly msPerRound: number;
  /** CPU time of the three services together. */
  readonly cpuMsPerToken: number;
  readonly tokensPerSecond: number;
  readonly medianRatio: number;
  readonly worstRatio: number;
}

const trio = await startTrio({
  target: values.target,
  draft: values.draft,
  env: { LOG_LEVEL: 'warn' },
  coordinatorEnv: { MAX_CONCURRENT_REQUESTS: '32', DRAFT_TIMEOUT_MS: '10000' },
});
const report: object[] = [];
try {
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}`);
  const greedy = [{ name: 'greedy', request: { temperature: 0, ...length } }];
  if (!values['no-greedy']) await measure('greedy', { temperature: 0 }, greedy);
  for (const temperature of numbers(values.temperatures)) {
    for (const top_p of numbers(values['top-ps'])) {
      const sampling = { temperature, top_p };
      const variants = values.rules.split(',').map((verification) => ({
        name: verification,
        request: { ...sampling, ...length, verification },
      }));
      await measure(`temperature ${temperature}, ${top_p < 1 ? `top-p ${top_p}` : 'unfiltered'}`, sampling, variants);
    }
  }
} finally {
  await trio.stop();
}
const folder = join(import.meta.dirname, '..', 'results');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'rules.json'), `${JSON.stringify(report, null, 2)}\n`);

interface Turn {
  readonly answers: Answer[];
  readonly ms: number;
  readonly bytes: number;
  readonly rounds: number;
  readonly cpuMs: number;
}

/** So many clients ask the same prompt at once, each with a seed of its own. */
async function turn(variant: Variant, prompt: string, seed: number): Promise<Turn> {
  const { url } = trio.coordinator;
  const before = await scrape(url);
  const cpuBefore = await cpuSeconds();
  const startMs = performance.now();
  const answers = await Promise.all(
    Array.from({ length: numClients }, (_, client) =>
      generate(url, {
        messages: [{ role: 'user', content: prompt }],
        max_new_tokens: Number(values.tokens),
        ignore_eos: true,
        seed: 1000 * client + seed,
        ...variant.request,
      }),
    ),
  );
  const ms = performance.now() - startMs;
  const after = await scrape(url);
  const grown = (name: string) => sumOf(after, name) - sumOf(before, name);
  return {
    answers,
    ms,
    bytes: grown('forerunner_round_bytes_total'),
    rounds: grown('forerunner_verified_rounds_total'),
    cpuMs: 1000 * ((await cpuSeconds()) - cpuBefore),
  };
}

/** Of the three services: what other load on the machine hardly changes. */
async function cpuSeconds(): Promise<number> {
  const services = [trio.coordinator, trio.target, trio.draft];
  const samples = await Promise.all(services.map(({ url }) => scrape(url)));
  return samples.reduce((sum, one) => sum + sumOf(one, 'process_cpu_seconds_total'), 0);
}

async function measure(title: string, sampling: object, variants: readonly Variant[]): Promise<void> {
  const all: Variant[] = [{ name: 'target alone', request: { ...sampling, speculative: false } }, ...variants];
  const turns = all.map((): Turn[] => []);
  for (const variant of all) await turn(variant, prompts[0]!, 0); // caches the prompt, warms the code
  for (const [seed, prompt] of prompts.entries()) {
    // The prompt's own prefill is nobody's.
    for (const variant of all.slice(0, 2))
      await turn({ ...variant, request: { ...variant.request, max_new_tokens: 2 } }, prompt, 0);
    for (const [i, variant] of all.entries()) {
      turns[i]!.push(await turn(variant, prompt, seed));
    }
  }
  const rows = turns.map((list, i) => rowOf(all[i]!.name, list, turns[0]!));
  report.push({ title, rows });
  console.log(`\n${title}; ${prompts.length} prompts, ${numClients} client(s), K = ${values.k}\n`);
  console.log(
    '| | acceptance | tokens per round | bytes per round | ms per round | CPU ms per token | tokens/s | ratio, median (worst) |',
  );
  console.log('|---|---|---|---|---|---|---|---|');
  for (const row of rows) {
    const acceptance = row.acceptance === null ? '' : row.acceptance.toFixed(3);
    console.log(
      `| ${row.name} | ${acceptance} | ${row.tokensPerRound.toFixed(2)} | ${Math.round(row.bytesPerRound)} | ` +
        `${row.msPerRound.toFixed(2)} | ${row.cpuMsPerToken.toFixed(2)} | ${row.tokensPerSecond.toFixed(1)} | ` +
        `${row.medianRatio.toFixed(2)} (${row.worstRatio.toFixed(2)}) |`,
    );
  }
}

function rowOf(name: string, turns: readonly Turn[], alone: readonly Turn[]): Row {
  const answers = turns.flatMap((one) => one.answers);
  const sum = (count: (answer: Answer) => number) => answers.reduce((total, answer) => total + count(answer), 0);
  const total = (of: (one: Turn) => number) => turns.reduce((t, one) => t + of(one), 0);
  const drafted = sum(({ metrics }) => metrics.speculative_decoding.num_draft_tokens);
  const rounds = total((one) => one.rounds);
  const speed = (one: Turn) => one.answers.reduce((t, { usage }) => t + usage.completion_tokens, 0) / (one.ms / 1000);
  const ratios = turns.map((one, i) => speed(one) / speed(alone[i]!));
  return {
    name,
    acceptance: drafted > 0 ? sum(({ metrics }) => metrics.speculative_decoding.num_accepted_tokens) / drafted : null,
    tokensPerRound: sum(({ usage }) => usage.completion_tokens - 1) / rounds,
    bytesPerRound: total((one) => one.bytes) / rounds,
    msPerRound: (total((one) => one.ms) * numClients) / rounds,
    cpuMsPerToken: total((one) => one.cpuMs) / sum(({ usage }) => usage.completion_tokens),
    tokensPerSecond: median(turns.map(speed)),
    medianRatio: median(ratios),
    worstRatio: Math.min(...ratios),
  };
}
