/**
 * One service as a process of its own: started, awaited, paused, killed, started again. `npm start`, tests and
 * benchmarks all run services through it. Whether one that ended is started again is for its owner to decide.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LAUNCH, launchEnv, type ServiceName } from './launch.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const READY_TIMEOUT_MS = 90_000;
const READY_INTERVAL_MS = 50;
/** Longer than SHUTDOWN_TIMEOUT_S takes by default. */
const KILL_AFTER_MS = 35_000;
const MAX_LOG_LENGTH = 20_000;

/** An end that `end` did not ask for. */
export interface UnexpectedEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lifeMs: number;
}

export interface ServiceProcessOptions {
  /**
   * It writes to the terminal of this process instead of to `log`, and Ctrl-C there reaches this process only, which
   * can then end its services in order.
   */
  readonly onTerminal?: boolean;
  readonly onUnexpectedEnd?: (end: UnexpectedEnd) => void;
}

export class ServiceProcess {
  readonly name: ServiceName;
  readonly port: number;
  readonly #env: NodeJS.ProcessEnv;
  readonly #options: ServiceProcessOptions;
  #child: ChildProcess | null = null;
  #isPaused = false;
  #isEnding = false;
  #log = '';

  constructor(name: ServiceName, port: number, env: NodeJS.ProcessEnv, options: ServiceProcessOptions = {}) {
    this.name = name;
    this.port = port;
    this.#env = { HOST: '127.0.0.1', ...env };
    this.#options = options;
  }

  get url(): string {
    return `http://${this.#env.HOST}:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The last of what the process wrote; empty when it writes to the terminal. */
  get log(): string {
    return this.#log;
  }

  /** Starts and waits until it is ready. Errors: with the log, when it ends instead or takes too long. */
  async start(): Promise<void> {
    const child = this.spawn();
    const ended = new AbortController();
    // 'close': it has ended, and all that it wrote is read.
    child.once('close', (code, signal) => ended.abort(new Error(`${this.name} ended with ${code ?? signal}`)));
    try {
      await this.ready(ended.signal);
    } catch (error) {
      throw new Error(`${(error as Error).message}:\n${this.#log}`);
    }
  }

  /** Starts the process and does not wait. */
  spawn(): ChildProcess {
    const { onTerminal = false, onUnexpectedEnd } = this.#options;
    const script = join(root, 'services', this.name, 'src', 'server.ts');
    const child = spawn(process.execPath, [...LAUNCH[this.name].flags, script], {
      cwd: root,
      env: { ...launchEnv(this.name, { ...process.env, ...this.#env }), PORT: String(this.port) },
      stdio: onTerminal ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
      detached: onTerminal && process.platform !== 'win32', // a process group of its own
    });
    this.#child = child;
    this.#isPaused = false;
    this.#isEnding = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        this.#log = (this.#log + chunk).slice(-MAX_LOG_LENGTH);
      });
    }
    const startedMs = performance.now();
    child.once('exit', (code, signal) => {
      if (!this.#isEnding) onUnexpectedEnd?.({ code, signal, lifeMs: performance.now() - startedMs });
    });
    return child;
  }

  /** Resolves once /readyz says so. Errors: the signal's reason; when it takes too long. */
  async ready(signal?: AbortSignal): Promise<void> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (performance.now() < deadlineMs) {
      const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(1000) }).catch(() => null);
      signal?.throwIfAborted();
      if (answer?.ok) return;
      await sleep(READY_INTERVAL_MS);
    }
    throw new Error(`${this.name} was not ready after ${READY_TIMEOUT_MS / 1000} s`);
  }

  /** Sends a signal; SIGSTOP and SIGCONT pause and resume. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') this.#isPaused = signal === 'SIGSTOP';
  }

  /** Ends the process and waits for it; kills it when it does not end in time. Returns its exit code (null: a signal). */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    this.#isEnding = true;
    const exited = once(child, 'exit') as Promise<[number | null]>;
    if (this.#isPaused) this.signal('SIGCONT'); // a paused process would not see its end
    child.kill(signal);
    const killer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    const [code] = await exited;
    clearTimeout(killer);
    return code;
  }
}
