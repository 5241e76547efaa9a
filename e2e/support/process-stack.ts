/** The same trio as plain processes, for machines without Docker. A proxy that refuses stands in for a cut network. */
import { FaultProxy, freePort, ServiceProcess } from '@forerunner/testkit';
import type { Member, Stack, StackKind } from './stack.ts';

export async function startProcesses(kind: StackKind): Promise<Stack> {
  const isTiny = kind === 'faults';
  // A short idle TTL for the tiny pair: a scenario sees it run out.
  const env = { LOG_LEVEL: 'info', ...(isTiny && { SEQUENCE_TTL_S: '8' }) };
  const service = async (name: ServiceProcess['name'], own: Record<string, string>) =>
    new ServiceProcess(name, await freePort(), { ...env, ...own });

  const draft = await service('draft-service', { MODEL_SIZE: isTiny ? 'tiny-draft' : '135m-feature-draft' });
  const target = await service('target-service', { MODEL_SIZE: isTiny ? 'tiny' : '135m' });
  const target2 = await service('target-service', { MODEL_SIZE: 'tiny' });
  const draftProxy = isTiny ? await FaultProxy.start(draft.port) : null;
  const targetProxy = isTiny ? await FaultProxy.start(target.port) : null;
  const target2Proxy = isTiny ? await FaultProxy.start(target2.port) : null;
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
    for (const proxy of Object.values(proxyOf)) proxy?.close();
  };
  try {
    await Promise.all([draft.start(), target.start(), isTiny && target2.start()]);
    await coordinator.start();
  } catch (error) {
    await close();
    throw error;
  }
  const setFault: Stack['setFault'] = (member, fault) => proxyOf[member]!.set(fault);
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
