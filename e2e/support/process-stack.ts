/** The same trio as plain processes, for machines without Docker. A proxy that refuses stands in for a cut network. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { freePort, ServiceProcess } from '@forerunner/testkit';
import { root } from './command.ts';
import { type Member, postFault, type Stack, type StackKind } from './stack.ts';
import { until } from './until.ts';

export async function startProcesses(kind: StackKind): Promise<Stack> {
  const isTiny = kind === 'faults';
  // A short idle TTL for the tiny pair: a scenario sees it run out.
  const env = { LOG_LEVEL: 'info', ...(isTiny && { SEQUENCE_TTL_S: '8' }) };
  const service = async (name: ServiceProcess['name'], own: Record<string, string>) =>
    new ServiceProcess(name, await freePort(), { ...env, ...own });

  const draft = await service('draft-service', { MODEL_SIZE: isTiny ? 'tiny-draft' : '135m-feature-draft' });
  const target = await service('target-service', { MODEL_SIZE: isTiny ? 'tiny' : '135m' });
  const target2 = await service('target-service', { MODEL_SIZE: 'tiny' });
  const draftProxy = isTiny ? await startProxy(draft.port) : null;
  const targetProxy = isTiny ? await startProxy(target.port) : null;
  const target2Proxy = isTiny ? await startProxy(target2.port) : null;
  const coordinator = await service('speculative-coordinator', {
    MODEL_SIZE: isTiny ? 'tiny' : '135m',
    MAX_DRAFT_TOKENS: '6',
    DRAFT_ENDPOINT: draftProxy?.url ?? draft.url,
    TARGET_ENDPOINT: targetProxy && target2Proxy ? `${targetProxy.url},${target2Proxy.url}` : target.url,
    ...(isTiny && { DRAFT_TIMEOUT_MS: '500', TARGET_TIMEOUT_MS: '2000' }),
  });
  const members: Record<Member, ServiceProcess> = {
    'draft-service': draft,
    'target-service': target,
    'target-service-2': target2,
    'speculative-coordinator': coordinator,
  };
  const proxyOf = { 'draft-service': draftProxy, 'target-service': targetProxy, 'target-service-2': target2Proxy };
  const close = async () => {
    await coordinator.end();
    await Promise.all([draft.end(), target.end(), target2.end()]);
    for (const proxy of Object.values(proxyOf)) proxy?.child.kill();
  };
  try {
    await Promise.all([draft.start(), target.start(), isTiny && target2.start()]);
    await coordinator.start();
  } catch (error) {
    await close();
    throw error;
  }
  const setFault: Stack['setFault'] = (member, fault) => postFault(proxyOf[member]!.controlUrl, fault);
  return {
    url: coordinator.url,
    urlOf: (member) => members[member].url,
    kill: (member) => members[member].end('SIGKILL').then(() => {}),
    pause: async (member) => members[member].signal('SIGSTOP'),
    resume: async (member) => members[member].signal('SIGCONT'),
    revive: (member) => members[member].start(),
    terminate: (member) => members[member].end('SIGTERM'),
    disconnect: (member) => setFault(member, { mode: 'reset' }),
    reconnect: (member) => setFault(member, { mode: 'pass' }),
    setFault,
    logOf: async (member) => members[member].log,
    close,
  };
}

interface Proxy {
  readonly url: string;
  readonly controlUrl: string;
  readonly child: ChildProcess;
}

async function startProxy(upstreamPort: number): Promise<Proxy> {
  const [port, controlPort] = [await freePort(), await freePort()];
  const child = spawn(process.execPath, [join(root, 'e2e/support/fault-proxy.ts')], {
    env: { LISTEN: String(port), CONTROL: String(controlPort), UPSTREAM: `127.0.0.1:${upstreamPort}` },
    stdio: 'inherit',
  });
  const controlUrl = `http://127.0.0.1:${controlPort}`;
  await until('the fault proxy answers', async () => (await fetch(controlUrl)).ok);
  return { url: `http://127.0.0.1:${port}`, controlUrl, child };
}
