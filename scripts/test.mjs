/**
 * `npm test`: every check there is, one after the other. The first failure ends it. Stages can be named:
 * `npm test -- lint typecheck unit trio e2e`.
 */
import { spawnSync } from 'node:child_process';
import { ensureToolchain, root, toolEnvironment } from './toolchain.mjs';

const stages = {
  lint: ['pnpm', 'run', 'lint'],
  typecheck: ['pnpm', 'run', 'typecheck'],
  unused: ['pnpm', 'run', 'unused'],
  unit: ['pnpm', 'run', 'test:unit'],
};

const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => !(name in stages));
if (unknown) {
  console.error(`npm test: there is no stage "${unknown}"; there are ${Object.keys(stages).join(', ')}`);
  process.exit(2);
}

ensureToolchain();
for (const name of chosen.length > 0 ? chosen : Object.keys(stages)) {
  const startMs = Date.now();
  console.log(`\n── ${name} ──`);
  const [command, ...args] = stages[name];
  const { status } = spawnSync(command, args, {
    cwd: root,
    env: toolEnvironment(),
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  console.log(
    `── ${name}: ${status === 0 ? 'ok' : `failed (${status})`} after ${((Date.now() - startMs) / 1000).toFixed(1)} s`,
  );
  if (status !== 0) process.exit(status ?? 1);
}
