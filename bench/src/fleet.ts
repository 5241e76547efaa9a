/**
 * `node bench/src/fleet.ts [--minutes 5] [--clients 16] [--target tiny] [--draft tiny-draft]`: two drafts and three
 * targets behind two names; kills, pauses, slows and replaces each of them in turn, again and again, while clients ask
 * without a pause. Exits 1 when an answer is wrong, hangs, or is refused.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Fleet, type FleetMember, type LoadReport, SteadyLoad, scrape, sumOf } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    clients: { type: 'string', default: '16' },
    target: { type: 'string', default: 'tiny' },
    draft: { type: 'string', default: 'tiny-draft' },
  },
});
const FAULT_MS = 6000;

const fleet = await Fleet.start({
  target: values.target,
  draft: values.draft,
  numTargets: 3,
  numDrafts: 2,
  env: { LOG_LEVEL: 'warn' },
  coordinatorEnv: { MAX_CONCURRENT_REQUESTS: values.clients, PROMPT_LOOKUP: 'false', DEFAULT_DRAFT_TOKENS: '3' },
});
const { url } = fleet.coordinator;

/** Ends when the member serves again, or its successor does. */
const FAULTS: Record<string, (member: FleetMember) => Promise<void>> = {
  kill: async ({ service }) => {
    await service.end('SIGKILL');
    await sleep(1000);
    await service.start();
  },
  pause: async ({ service }) => {
    service.signal('SIGSTOP');
    await sleep(FAULT_MS);
    service.signal('SIGCONT');
  },
  slow: async ({ line }) => {
    await line.set({ latencyMs: 60 });
    await sleep(FAULT_MS);
    await line.set({ latencyMs: 0 });
  },
  replace: async (member) => {
    const successor = await fleet.add(member.role);
    await until(`${successor.name} serves`, async () => (await numServing()) === fleet.members.size);
    fleet.withdraw(member);
    await until(`${member.name} is drained`, async () => !(await knows(member)));
    await fleet.end(member);
  },
};

try {
  const report = await run();
  process.exitCode = report.numWrong === 0 && report.failures.length === 0 ? 0 : 1;
} finally {
  await fleet.stop();
}

async function run(): Promise<LoadReport> {
  const load = await SteadyLoad.start(url, {
    numClients: Number(values.clients),
    prompts: PROMPTS,
    body: { max_new_tokens: 40, ignore_eos: true },
    patienceMs: 30_000,
  });
  const counts = await inflictFaults(load);
  const report = await load.stop();
  const samples = await scrape(url);
  const totalOf = (name: string) => sumOf(samples, `forerunner_${name}_total`);
  console.table(counts);
  console.log({
    ...report,
    ejections: totalOf('replica_ejections'),
    moves: totalOf('answer_moves'),
    degradedSeconds: totalOf('degraded_seconds'),
  });
  return report;
}

/** Returns how often each of them was. */
async function inflictFaults(load: SteadyLoad): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const endMs = performance.now() + Number(values.minutes) * 60_000;
  while (performance.now() < endMs) {
    for (const [fault, inflict] of Object.entries(FAULTS)) {
      for (const member of [...fleet.members]) {
        if (performance.now() >= endMs) break;
        const before = load.numAnswers;
        await inflict(member);
        await until('all serve', async () => (await numServing()) === fleet.members.size);
        const name = `${fault} a ${member.role}`;
        counts[name] = (counts[name] ?? 0) + 1;
        console.log(`${name}: ${load.numAnswers - before} answers meanwhile`);
      }
    }
  }
  return counts;
}

async function numServing(): Promise<number> {
  return sumOf(await scrape(url), 'forerunner_replica_serving');
}

async function knows({ name }: FleetMember): Promise<boolean> {
  return [...(await scrape(url)).keys()].some((key) => key.includes(`replica="${name}"`));
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 120_000;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`never: ${what}`);
    await sleep(100);
  }
}
