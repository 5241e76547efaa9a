/**
 * A Python that has a package, if there is one: $SURFACE_PYTHON, or the virtual environment that
 * `sh e2e/support/prepare-python.sh` makes under .cache/, or the system's.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './command.ts';

const run = promisify(execFile);

export function pythonWith(module: string): string | null {
  const candidates = [
    process.env.SURFACE_PYTHON,
    join(root, '.cache', 'surface-python', 'bin', 'python'),
    'python3',
  ].filter((path) => path !== undefined);
  const has = (path: string) =>
    (!path.includes('/') || existsSync(path)) &&
    spawnSync(path, ['-c', `import ${module}`], { timeout: 30_000, stdio: 'ignore' }).status === 0;
  return candidates.find(has) ?? null;
}

/** Standard output of a program. Errors: with what it wrote when it fails or takes too long. */
export async function runPython(python: string, program: string, env: Record<string, string>): Promise<string> {
  const { stdout } = await run(python, ['-c', program], { env: { ...process.env, ...env }, timeout: 60_000 });
  return stdout;
}
