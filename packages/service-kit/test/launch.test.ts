import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LAUNCH } from '../src/launch.ts';

const DOCKERFILES = {
  'draft-service': 'Dockerfile.draft',
  'target-service': 'Dockerfile.target',
  'speculative-coordinator': 'Dockerfile.coordinator',
} as const;

describe.each(Object.entries(DOCKERFILES))('an image of the %s', (service, file) => {
  const { flags, env } = LAUNCH[service as keyof typeof DOCKERFILES];
  const dockerfile = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

  it('starts it as npm start does', () => {
    const argv = ['node', ...flags, `services/${service}/src/server.ts`];
    expect(dockerfile).toContain(`CMD [${argv.map((part) => `"${part}"`).join(', ')}]`);
    for (const [name, value] of Object.entries(env)) expect(dockerfile).toContain(` ${name}=${value} `);
  });
});
