#!/usr/bin/env node
/**
 * `forerunner COMMAND`: fetches the pinned tools once, then runs the command with them. `serve` is what `npm start` runs,
 * `key` the coordinator's, `replay` packages/receipts; all others are packages/cli.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureToolchain, nodeBinary, root, toolEnvironment } from './toolchain.mjs';

const PROGRAMS = {
  key: ['services', 'speculative-coordinator', 'src', 'access', 'cli.ts'],
  replay: ['packages', 'receipts', 'src', 'cli.ts'],
};

const [command, ...args] = process.argv.slice(2);
if (command === 'serve') {
  await import('./start.mjs'); // reads the same arguments
} else {
  try {
    ensureToolchain();
  } catch (error) {
    console.error(`forerunner: ${error.message}`);
    process.exit(1);
  }
  const program = Object.hasOwn(PROGRAMS, command ?? '') ? PROGRAMS[command] : undefined;
  const [file, rest] = program ? [program, args] : [['packages', 'cli', 'src', 'main.ts'], process.argv.slice(2)];
  // The working directory stays: arguments name files from there.
  const { status } = spawnSync(nodeBinary(), [join(root, ...file), ...rest], {
    env: toolEnvironment(),
    stdio: 'inherit',
  });
  process.exit(status ?? 1);
}
