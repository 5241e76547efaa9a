/**
 * A coordinator over pools of drafts and targets, as processes. Each pool is one host name (`drafts.test`, `targets.test`)
 * whose addresses (127.0.0.x, all with one port) come and go with the members, as a headless service of Kubernetes has it.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePort } from '@forerunner/service-kit/free-port';
import { ServiceProcess } from '@forerunner/service-kit/service-process';
import { FaultProxy } from './faults.ts';

export interface FleetOptions {
  /** Catalogue names. */
  readonly target: string;
  readonly draft: string;
  readonly numTargets: number;
  readonly numDrafts: number;
  readonly env?: Record<string, string>;
  readonly coordinatorEnv?: Record<string, string>;
}

export type FleetRole = 'draft' | 'target';

export interface FleetMember {
  readonly role: FleetRole;
  readonly service: ServiceProcess;
  readonly address: string;
  /** What the coordinator calls it while its name has several addresses. */
  readonly name: string;
  /** Through which the coordinator reaches it. */
  readonly line: FaultProxy;
}

export class Fleet {
  readonly members = new Set<FleetMember>();
  readonly #options: FleetOptions;
  readonly #directory = mkdtempSync(join(tmpdir(), 'forerunner-fleet-'));
  readonly #ports: Readonly<Record<FleetRole, number>>;
  readonly coordinator: ServiceProcess;
  #numStarted = 0;

  /** Starts all of them and waits until they are ready. Whoever starts it stops it. */
  static async start(options: FleetOptions): Promise<Fleet> {
    const [draft, target, coordinator] = await Promise.all([freePort(), freePort(), freePort()]);
    const fleet = new Fleet(options, { draft, target }, coordinator);
    try {
      const { numDrafts, numTargets } = options;
      await Promise.all([
        ...Array.from({ length: numTargets }, () => fleet.add('target')),
        ...Array.from({ length: numDrafts }, () => fleet.add('draft')),
      ]);
      await fleet.coordinator.start();
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  private constructor(options: FleetOptions, ports: Record<FleetRole, number>, port: number) {
    this.#options = options;
    this.#ports = ports;
    this.#publish();
    this.coordinator = new ServiceProcess('speculative-coordinator', port, {
      LOG_LEVEL: 'info',
      ...options.env,
      MODEL_SIZE: options.target,
      DRAFT_ENDPOINT: this.urlOf('draft'),
      TARGET_ENDPOINT: this.urlOf('target'),
      PEER_CHECK_INTERVAL_MS: '200',
      HOSTS_FILE: this.#hostsFile,
      NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'hosts.ts'))}`,
      ...options.coordinatorEnv,
    });
  }

  /** The endpoint of a pool. */
  urlOf(role: FleetRole): string {
    return `http://${role}s.test:${this.#ports[role]}`;
  }

  of(role: FleetRole): FleetMember[] {
    return [...this.members].filter((member) => member.role === role);
  }

  /** Starts one more, waits until it is ready, and gives its address to its name. */
  async add(role: FleetRole): Promise<FleetMember> {
    const address = `127.0.0.${10 + this.#numStarted++}`;
    const { env, draft, target } = this.#options;
    const service = new ServiceProcess(`${role}-service`, await freePort(), {
      LOG_LEVEL: 'info',
      NUM_THREADS: '1',
      ...env,
      MODEL_SIZE: role === 'draft' ? draft : target,
    });
    const line = await FaultProxy.start(service.port, { host: address, port: this.#ports[role] });
    const member = { role, service, address, name: `${this.urlOf(role)} [${address}]`, line };
    this.members.add(member);
    await service.start();
    this.#publish();
    return member;
  }

  /** Takes its address from its name; it goes on serving. */
  withdraw(member: FleetMember): void {
    this.members.delete(member);
    this.#publish();
  }

  /** Ends a member. */
  async end({ service, line }: FleetMember, signal?: NodeJS.Signals): Promise<void> {
    await service.end(signal);
    line.close();
  }

  async stop(): Promise<void> {
    await this.coordinator.end();
    await Promise.all([...this.members].map((member) => this.end(member, 'SIGKILL')));
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #hostsFile(): string {
    return join(this.#directory, 'hosts.json');
  }

  #publish(): void {
    const addresses = (role: FleetRole) => this.of(role).map(({ address }) => address);
    const hosts = { 'drafts.test': addresses('draft'), 'targets.test': addresses('target') };
    writeFileSync(`${this.#hostsFile}.new`, JSON.stringify(hosts));
    renameSync(`${this.#hostsFile}.new`, this.#hostsFile);
  }
}
