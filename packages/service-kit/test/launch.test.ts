import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LAUNCH, launchEnv } from '../src/launch.ts';

const DOCKERFILES = {
  'draft-service': 'Dockerfile.draft',
  'target-service': 'Dockerfile.target',
  'speculative-coordinator': 'Dockerfile.coordinator',
} as const;

const BEFORE_NODE_RUNS = /\b(ORT_DISABLE_TELEMETRY|UV_THREADPOOL_SIZE|GLIBC_TUNABLES|NODE_OPTIONS)=(\S*)/g;

describe.each(Object.entries(DOCKERFILES))('an image of the %s', (service, file) => {
  const { flags, env } = LAUNCH[service as keyof typeof DOCKERFILES];
  const dockerfile = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

  it('starts it as npm start does', () => {
    const argv = ['node', ...flags, `services/${service}/src/server.ts`];
    expect(dockerfile).toContain(`CMD [${argv.map((part) => `"${part}"`).join(', ')}]`);
  });

  it('sets what must be set before Node runs as npm start does, and no more', () => {
    const settings = [...dockerfile.matchAll(BEFORE_NODE_RUNS)].map(([, name, value]) => [name, value]);
    expect(Object.fromEntries(settings)).toEqual(env);
    expect(settings).toHaveLength(Object.keys(env).length); // each once, not to be overruled further down
  });
});

describe('the environment of a process', () => {
  it('leaves settings to who starts it, but for telemetry', () => {
    const outer = { UV_THREADPOOL_SIZE: '16', ORT_DISABLE_TELEMETRY: '0', HOST: '::1' };
    expect(launchEnv('target-service', outer)).toEqual({
      ...LAUNCH['target-service'].env,
      UV_THREADPOOL_SIZE: '16',
      ORT_DISABLE_TELEMETRY: '1',
      HOST: '::1',
    });
  });
});
