/**
 * `npm test`: every check there is, one after the other. The first failure ends it. Stages can be named:
 * `npm test -- lint typecheck unused unit surface stack`.
 *
 * With CI set nothing may be skipped: what some tests use beyond npm (a browser, Prometheus, Docker) is installed while
 * the first stages run. Elsewhere a test whose tool is missing says so and is skipped.
 */
import { spawn } from 'node:child_process';
import { ensureToolchain, root, toolEnvironment } from './toolchain.mjs';

const stages = {
  lint: { run: ['pnpm', 'run', 'lint'] },
  typecheck: { run: ['pnpm', 'run', 'typecheck'] },
  unused: { run: ['pnpm', 'run', 'unused'] },
  unit: { run: ['pnpm', 'run', 'test:unit'], needs: 'packages' },
  surface: { run: ['pnpm', 'run', 'test:surface'], needs: 'packages' },
  stack: { run: ['pnpm', 'run', 'test:stack'], needs: 'docker' },
};

const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => !(name in stages));
if (unknown) {
  console.error(`npm test: there is no stage "${unknown}"; there are ${Object.keys(stages).join(', ')}`);
  process.exit(2);
}
const names = chosen.length > 0 ? chosen : Object.keys(stages);

ensureToolchain();
const prepared = process.env.CI ? prepare() : {};
const summary = [];
for (const name of names) {
  const { run, needs } = stages[name];
  await prepared[needs];
  const startMs = Date.now();
  console.log(`\n── ${name} ──`);
  const status = await execute(run);
  const seconds = ((Date.now() - startMs) / 1000).toFixed(0);
  summary.push(`${name}: ${status === 0 ? 'ok' : `failed (${status})`}, ${seconds} s`);
  console.log(`── ${summary.at(-1)}`);
  if (status !== 0) await finish(status);
}
await finish(0);

/** Installs in the background: packages first, then Docker, since both use apt. */
function prepare() {
  const packages = background('tools for tests', ['bash', 'scripts/prepare-tests.sh']);
  const docker = packages.then(() => background('Docker', ['bash', 'scripts/docker/prepare.sh']));
  return { packages, docker };
}

async function background(what, command) {
  const startMs = Date.now();
  const output = [];
  const status = await execute(command, output);
  const seconds = ((Date.now() - startMs) / 1000).toFixed(0);
  console.log(`\n[${what}: ${status === 0 ? 'ready' : `FAILED (${status})`} after ${seconds} s]\n${output.join('')}`);
}

/** Exit status of a command; its output goes to the terminal, or to `output`. */
function execute([command, ...args], output) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: toolEnvironment(),
      stdio: output ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    });
    child.stdout?.on('data', (chunk) => output.push(chunk));
    child.stderr?.on('data', (chunk) => output.push(chunk));
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(127);
    });
    child.on('close', (status) => resolve(status ?? 1));
  });
}

async function finish(status) {
  // Only an engine that was started here is stopped.
  if (process.env.CI) await execute(['bash', 'scripts/docker/stop.sh'], []);
  console.log(`\nnpm test:\n  ${summary.join('\n  ')}`);
  process.exit(status);
}
