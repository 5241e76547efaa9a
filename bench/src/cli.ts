/**
 * `pnpm bench:smoke` and friends: speed is shown here and nowhere else. A and B run interleaved in one go through HTTP,
 * medians with their middle half; compare ratios, since absolute times belong to the machine.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { startTrio } from '@forerunner/testkit';
import { printResults, runScenario } from './run-scenario.ts';
import { type Scenario, speculationScenarios } from './scenario.ts';

const suites: Record<string, () => Scenario[]> = {
  smoke: () =>
    speculationScenarios({ target: '135m', draft: '135m-draft', ks: [1, 2, 4], numPrompts: 8, maxNewTokens: 48 }),
  tiny: () =>
    speculationScenarios({ target: 'tiny', draft: 'tiny-draft', ks: [2, 5], numPrompts: 8, maxNewTokens: 64 }),
};

const name = process.argv[2] ?? 'smoke';
const suite = suites[name];
if (!suite) {
  console.error(`bench: there is no suite "${name}"; there are ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}

console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}`);
const report: object[] = [];
for (const scenario of suite()) {
  const trio = await startTrio({
    target: scenario.target,
    draft: scenario.draft,
    env: { LOG_LEVEL: 'warn', ...scenario.env },
    coordinatorEnv: { MAX_DRAFT_TOKENS: '16', DRAFT_TIMEOUT_MS: '10000' },
  });
  try {
    const results = await runScenario(scenario, trio);
    printResults(scenario, results);
    report.push({ scenario, results });
  } finally {
    await trio.stop();
  }
}
const directory = join(import.meta.dirname, '..', 'results');
mkdirSync(directory, { recursive: true });
const file = join(directory, `${name}-${new Date().toISOString().replaceAll(':', '-')}.json`);
writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`);
console.log(`\nEvery value: ${file}`);
