/** One service as a process of its own, for tests and measurements: started, awaited, paused, killed, started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { LAUNCH, launchEnv, type ServiceName } from '@forerunner/service-kit/launch';

const root = join(import.meta.dirname, '..', '..', '..');
const READY_TIMEOUT_MS = 90_000;

export class ServiceProcess {
  readonly name: ServiceName;
  readonly port: number;
  readonly #env: Record<string, string>;
  #child: ChildProcess | null = null;
  #log = '';

  constructor(name: ServiceName, port: number, env: Record<string, string>) {
    this.name = name;
    this.port = port;
    this.#env = env;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What the process wrote, the last 20,000 characters. */
  get log(): string {
    return this.#log;
  }

  /** Starts and waits until it is ready. Errors: with the log when it ends instead or takes too long. */
  async start(): Promise<void> {
    const script = join(root, 'services', this.name, 'src', 'server.ts');
    const child = spawn(process.execPath, [...LAUNCH[this.name].flags, script], {
      cwd: root,
      env: {
        ...launchEnv(this.name, process.env),
        HOST: '127.0.0.1',
        ...this.#env,
        PORT: String(this.port),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const closed = once(child, 'close'); // ended, and all that it wrote is read
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.#log = (this.#log + chunk).slice(-20_000);
      });
    }
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (child.exitCode === null && child.signalCode === null) {
      if (Date.now() > deadline) throw new Error(`${this.name} was not ready in time:\n${this.#log}`);
      const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(1000) }).catch(() => null);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await closed;
    throw new Error(`${this.name} ended with ${child.exitCode ?? child.signalCode}:\n${this.#log}`);
  }

  /** Sends a signal; SIGSTOP and SIGCONT pause and resume. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends the process and waits for it. Returns its exit code (null when a signal ended it). */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT'); // a paused process would not see its end
    child.kill(signal);
    return ended;
  }
}

/** A port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
