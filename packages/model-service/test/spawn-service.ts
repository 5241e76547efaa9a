/** A service as a process of its own, on a free port, with only the environment that a test gives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface ServiceProcess {
  readonly child: ChildProcess;
  readonly url: string;
  /** Everything that it printed so far. */
  output(): string;
  exitCode(): Promise<number | null>;
}

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function launch(script: URL, env: NodeJS.ProcessEnv, nodeOptions: readonly string[]) {
  const child = spawn(process.execPath, [...nodeOptions, script.pathname], {
    env: { PATH: process.env.PATH, PORT: '0', NUM_THREADS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { child, output: () => output };
}

/** Resolves when it listens. Errors: its output, when it ends before that. */
export async function startService(
  script: URL,
  env: NodeJS.ProcessEnv,
  nodeOptions: readonly string[] = [],
): Promise<ServiceProcess> {
  const { child, output } = launch(script, env, nodeOptions);
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      const address = output().match(/"address":"([^"]+)"/)?.[1];
      if (address) resolve(address);
    });
    void exited.then((code) => reject(new Error(`it ended with code ${code}:\n${output()}`)));
  });
  return { child, url, output, exitCode: () => exited };
}

/** For a start that is to fail. */
export async function runToEnd(script: URL, env: NodeJS.ProcessEnv): Promise<Ended> {
  const { child, output } = launch(script, env, []);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output: output() };
}
