/** The trio composed by docker-compose.yml, with published ports for tests. */
import { randomUUID } from 'node:crypto';
import { postFault } from '@forerunner/testkit';
import { DockerComposeEnvironment, type StartedTestContainer, Wait } from 'testcontainers';
import { docker, root } from './command.ts';
import { IMAGE_TAG } from './global-setup.ts';
import type { Member, Proxied, Stack, StackKind } from './stack.ts';
import { until } from './until.ts';

const FILES: Record<StackKind, string[]> = {
  default: ['docker-compose.yml', 'e2e/compose/published.yml'],
  faults: ['docker-compose.yml', 'e2e/compose/published.yml', 'e2e/compose/faults.yml'],
};
const PROXIES: Record<Proxied, string> = {
  'draft-service': 'draft-proxy',
  'target-service': 'target-proxy',
  'target-service-2': 'target-proxy-2',
};

export async function startContainers(kind: StackKind): Promise<Stack> {
  const members: Member[] = ['draft-service', 'target-service', 'speculative-coordinator'];
  if (kind === 'faults') members.push('target-service-2');
  const project = `testcontainers-${randomUUID().slice(0, 8)}`;
  const environment = new DockerComposeEnvironment(root, FILES[kind])
    .withEnvironment({ FORERUNNER_VERSION: IMAGE_TAG, PORT: '0', LOG_LEVEL: 'info' })
    .withStartupTimeout(120_000)
    .withProjectName(project);
  for (const member of members) environment.withWaitStrategy(`${member}-1`, Wait.forHealthCheck());
  const started = await withLogs(project, () => environment.up());

  const container = (name: string): StartedTestContainer => started.getContainer(`${name}-1`);
  const id = (member: Member) => container(member).getId();
  const networks = [`${project}_trio`, `${project}_outside`];
  // Ports are asked for each time: a container that was started again may have another one.
  const portOf = (name: string, port: number) => Number(published.get(`${name}:${port}`));
  const published = new Map<string, string>();
  const readPort = async (name: string, port: number) => {
    const address = await docker('port', container(name).getId(), `${port}/tcp`);
    published.set(`${name}:${port}`, address.split('\n')[0]!.split(':').at(-1)!);
  };
  for (const member of members) await readPort(member, 8000);
  if (kind === 'faults') for (const proxy of Object.values(PROXIES)) await readPort(proxy, 8474);

  const urlOf = (member: Member) => `http://127.0.0.1:${portOf(member, 8000)}`;
  return {
    get url() {
      return urlOf('speculative-coordinator');
    },
    urlOf,
    kill: (member) => docker('kill', id(member)).then(() => {}),
    pause: (member) => docker('pause', id(member)).then(() => {}),
    resume: (member) => docker('unpause', id(member)).then(() => {}),
    async revive(member) {
      await docker('start', id(member));
      await readPort(member, 8000);
      await until(`${member} is healthy`, async () => {
        const health = await docker('inspect', '--format', '{{.State.Health.Status}}', id(member));
        return health === 'healthy';
      });
    },
    async terminate(member) {
      await docker('stop', id(member));
      return Number(await docker('inspect', '--format', '{{.State.ExitCode}}', id(member)));
    },
    async disconnect(member) {
      for (const network of networks) await docker('network', 'disconnect', network, id(member));
    },
    async reconnect(member) {
      for (const network of networks) await docker('network', 'connect', '--alias', member, network, id(member));
      await readPort(member, 8000);
    },
    setFault: (member: Proxied, fault) => postFault(`http://127.0.0.1:${portOf(PROXIES[member], 8474)}`, fault),
    logOf: (member) => docker('logs', id(member)),
    close: () => started.down({ removeVolumes: true }).then(() => {}),
  };
}

/** A stack that fails to start is removed at once, and all that is told is "unhealthy": so its logs are read meanwhile. */
async function withLogs<T>(project: string, up: () => Promise<T>): Promise<T> {
  let logs = '';
  const watch = setInterval(() => {
    docker('compose', '-p', project, 'logs', '--no-color', '--tail', '20').then(
      (text) => {
        logs = text || logs;
      },
      () => {},
    );
  }, 2000);
  try {
    return await up();
  } catch (cause) {
    throw new Error(`the stack did not start; what its members wrote last:\n${logs}`, { cause });
  } finally {
    clearInterval(watch);
  }
}
