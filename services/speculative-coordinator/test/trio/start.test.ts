/** What a service says when it cannot start: one readable message, and exit code 1. */
import { createServer } from 'node:net';
import { freePort, ServiceProcess } from '@forerunner/testkit';
import { afterAll, describe, expect, it } from 'vitest';

const started: ServiceProcess[] = [];
const processOf = async (name: ServiceProcess['name'], env: Record<string, string>, port?: number) => {
  const service = new ServiceProcess(name, port ?? (await freePort()), { LOG_LEVEL: 'warn', ...env });
  started.push(service);
  return service;
};
afterAll(async () => {
  await Promise.all(started.map((service) => service.end('SIGKILL')));
});

describe('a service refuses to start', () => {
  it('with wrong settings, all of them named with their values', async () => {
    const service = await processOf('speculative-coordinator', {
      MAX_DRAFT_TOKENS: '99',
      DRAFT_ENDPOINT: 'localhost',
      LOG_LEVEL: 'loud',
    });
    await expect(service.start()).rejects.toThrow(/ended with 1/);
    expect(service.log).toMatch(/MAX_DRAFT_TOKENS=99: must be a whole number from 0 to 32/);
    expect(service.log).toMatch(/DRAFT_ENDPOINT=localhost: must be URLs such as/);
    expect(service.log).toMatch(/LOG_LEVEL=loud: must be one of/);
    expect(service.log).not.toContain('    at '); // no stack
  });

  it.each(['draft-service', 'target-service', 'speculative-coordinator'] as const)(
    'with a model that the catalogue lacks, naming those that it has (%s)',
    async (name) => {
      const service = await processOf(name, { MODEL_SIZE: '3t' });
      await expect(service.start()).rejects.toThrow(/MODEL_SIZE=3t is not in .*catalogue\.json; it knows 135m, /);
    },
  );

  it('with a folder that holds no model', async () => {
    const service = await processOf('target-service', { MODEL_DIR: '/nowhere' });
    await expect(service.start()).rejects.toThrow(/MODEL_DIR: there is no model in \/nowhere/);
  });

  it('on a port that is taken', async () => {
    const port = await freePort();
    const occupant = createServer().listen(port, '127.0.0.1');
    try {
      const service = await processOf('target-service', { MODEL_SIZE: 'tiny' }, port);
      await expect(service.start()).rejects.toThrow(new RegExp(`port ${port} .*is taken`));
    } finally {
      occupant.close();
    }
  });

  it('with a pair that does not fit, naming both sides', async () => {
    const target = await processOf('target-service', { MODEL_SIZE: 'tiny' });
    const draft = await processOf('draft-service', { MODEL_SIZE: '135m-draft' });
    await Promise.all([target.start(), draft.start()]);
    const coordinator = await processOf('speculative-coordinator', {
      MODEL_SIZE: 'tiny',
      TARGET_ENDPOINT: target.url,
      DRAFT_ENDPOINT: draft.url,
    });
    await expect(coordinator.start()).rejects.toThrow(
      /draft "smollm2-135m-draft-4l-int8" and target "tiny-target" do not fit: their tokenizers differ/,
    );
  });
});
