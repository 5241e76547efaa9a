/** Runs a program and says everything when it fails. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..', '..');

export interface CommandOptions {
  readonly env?: Record<string, string>;
  readonly timeoutMs?: number;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs in the repository's root. Errors: only when the program cannot be started or takes too long. */
export function tryCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { env = {}, timeoutMs = 60_000 } = options;
  return new Promise((resolve, reject) => {
    const settings = { cwd: root, env: { ...process.env, ...env }, timeout: timeoutMs, maxBuffer: 1 << 26 };
    execFile(program, args, settings, (error, stdout, stderr) => {
      if (error && (typeof error.code !== 'number' || error.killed)) {
        reject(new Error(`${program} ${args.join(' ')}: ${error.message}\n${stderr}`, { cause: error }));
      } else {
        resolve({ exitCode: (error?.code as unknown as number | undefined) ?? 0, stdout, stderr });
      }
    });
  });
}

/** The same, but any exit code except 0 is an error. Returns what the program printed. */
export async function command(program: string, args: readonly string[], options?: CommandOptions): Promise<string> {
  const { exitCode, stdout, stderr } = await tryCommand(program, args, options);
  if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${exitCode}:\n${stdout}${stderr}`);
  return stdout;
}

export const docker = (...args: string[]): Promise<string> => command('docker', args).then((text) => text.trim());

export async function isInstalled(program: string): Promise<boolean> {
  return tryCommand(program, ['--version']).then(
    ({ exitCode }) => exitCode === 0,
    () => false,
  );
}
