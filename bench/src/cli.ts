/**
 * `pnpm bench:smoke` and friends: speed is shown here and nowhere else. A and B run interleaved in one go through HTTP,
 * medians with their middle half; compare ratios, since absolute times belong to the machine.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { startTrio, type Trio } from '@forerunner/testkit';
import { printResults, runScenario } from './run-scenario.ts';
import type { Scenario } from './scenario.ts';
import { suites } from './suites.ts';

const name = process.argv[2] ?? 'smoke';
const suite = suites[name];
if (!suite) {
  console.error(`bench: there is no suite "${name}"; there are ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}

console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}`);
const report: object[] = [];
for (const scenario of suite()) {
  const servers = await startServers(scenario);
  try {
    const results = await runScenario(scenario, servers);
    printResults(scenario, results);
    report.push({ scenario, results });
  } finally {
    await Promise.all([...servers.values()].map((trio) => trio.stop()));
  }
}
const directory = join(import.meta.dirname, '..', 'results');
mkdirSync(directory, { recursive: true });
const file = join(directory, `${name}-${new Date().toISOString().replaceAll(':', '-')}.json`);
writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`);
console.log(`\nEvery value: ${file}`);

async function startServers(scenario: Scenario): Promise<Map<string, Trio>> {
  const servers = new Map<string, Trio>();
  for (const [name, options] of Object.entries(scenario.servers)) servers.set(name, await startTrio(options));
  return servers;
}
