/**
 * The tools that everything else needs, wherever this repository was cloned: the pinned Node and pnpm, as npm packages
 * in .toolchain/, and the dependencies of the lockfile. Runs on any Node from 18 on, installs nothing globally, and
 * costs nothing the second time.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const wantedNode = readFileSync(join(root, '.node-version'), 'utf8').trim();
const wantedPnpm = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager.replace('pnpm@', '');
const toolchainDir = join(root, '.toolchain');
const isWindows = process.platform === 'win32';
const nodePackage = `node-${process.platform}-${process.arch}`;
/** Where no package exists for the platform, a new enough Node of the machine's own does. */
const ownNodeSuffices = major(process.versions.node) >= major(wantedNode);

/** The environment of every process of this project: pinned tools first, no telemetry from the model runtime. */
export function toolEnvironment() {
  const path = [dirname(nodeBinary()), join(toolchainDir, 'node_modules', '.bin'), process.env.PATH].join(delimiter);
  return { ...process.env, PATH: path, ORT_DISABLE_TELEMETRY: '1' };
}

export function nodeBinary() {
  if (ownNodeSuffices) return process.execPath;
  return join(toolchainDir, 'node_modules', nodePackage, 'bin', 'node');
}

/** Makes tools and dependencies present. Throws with a readable message when that cannot be. */
export function ensureToolchain() {
  if (!hasTools()) installTools();
  if (!hasDependencies()) installDependencies();
}

function major(version) {
  return Number(version.split('.')[0]);
}

function hasTools() {
  const node = spawnSync(nodeBinary(), ['--version'], { encoding: 'utf8' });
  if (node.status !== 0 || (!ownNodeSuffices && node.stdout.trim() !== `v${wantedNode}`)) return false;
  const manifest = join(toolchainDir, 'node_modules', 'pnpm', 'package.json');
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === wantedPnpm;
}

function installTools() {
  console.log(`Fetching Node ${wantedNode} and pnpm ${wantedPnpm} into .toolchain (once) ...`);
  rmSync(toolchainDir, { recursive: true, force: true });
  mkdirSync(toolchainDir, { recursive: true });
  writeFileSync(join(toolchainDir, 'package.json'), '{"private":true}\n');
  const packages = [...(ownNodeSuffices ? [] : [`${nodePackage}@${wantedNode}`]), `pnpm@${wantedPnpm}`];
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...packages], {
    cwd: toolchainDir,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: isWindows,
  });
  if (!hasTools())
    throw new Error(`Node ${wantedNode} is not on npm for ${process.platform} ${process.arch}; install it yourself`);
}

/** pnpm writes this file last; a lockfile newer than it means that somebody pulled. */
function hasDependencies() {
  const stamp = join(root, 'node_modules', '.modules.yaml');
  const newer = (file) => statSync(join(root, file)).mtimeMs > statSync(stamp).mtimeMs;
  return existsSync(stamp) && !newer('pnpm-lock.yaml') && !newer('pnpm-workspace.yaml');
}

function installDependencies() {
  console.log('Installing dependencies from the lockfile ...');
  execFileSync(
    'pnpm',
    ['install', '--frozen-lockfile', '--trust-lockfile', '--reporter=append-only', '--loglevel=warn'],
    {
      cwd: root,
      env: toolEnvironment(),
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: isWindows,
    },
  );
  // pnpm leaves its stamp alone when there was nothing to do.
  const stamp = join(root, 'node_modules', '.modules.yaml');
  writeFileSync(stamp, readFileSync(stamp));
}
