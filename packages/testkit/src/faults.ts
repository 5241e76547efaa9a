/** A fault proxy as a process of its own, in front of a service. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@forerunner/service-kit/free-port';
import type { FaultState } from './fault-proxy.ts';

export type { FaultState };

/** Steers a proxy. Errors: when it does not do as it is told. */
export async function postFault(controlUrl: string, fault: Partial<FaultState>): Promise<void> {
  const reply = await fetch(controlUrl, { method: 'POST', body: JSON.stringify(fault) });
  if (!reply.ok) throw new Error(`the fault proxy answers ${reply.status}`);
}

export class FaultProxy {
  /** Where it stands in for the service. */
  readonly url: string;
  readonly #controlUrl: string;
  readonly #child: ChildProcess;

  private constructor(url: string, controlUrl: string, child: ChildProcess) {
    this.url = url;
    this.#controlUrl = controlUrl;
    this.#child = child;
  }

  /** In front of a port of this machine; listens on a free port of 127.0.0.1, or where it is told. */
  static async start(upstreamPort: number, at: { host?: string; port?: number } = {}): Promise<FaultProxy> {
    const { host = '127.0.0.1', port = await freePort() } = at;
    const controlPort = await freePort();
    const child = spawn(process.execPath, [join(import.meta.dirname, 'fault-proxy.ts')], {
      env: {
        LISTEN: String(port),
        LISTEN_HOST: host,
        CONTROL: String(controlPort),
        UPSTREAM: `127.0.0.1:${upstreamPort}`,
      },
      stdio: 'inherit',
    });
    const controlUrl = `http://127.0.0.1:${controlPort}`;
    for (let i = 0; i < 400 && child.exitCode === null; i++) {
      const isUp = await fetch(controlUrl).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isUp) return new FaultProxy(`http://${host}:${port}`, controlUrl, child);
      await sleep(50);
    }
    child.kill();
    throw new Error('the fault proxy does not answer');
  }

  set(fault: Partial<FaultState>): Promise<void> {
    return postFault(this.#controlUrl, fault);
  }

  close(): void {
    this.#child.kill();
  }
}
