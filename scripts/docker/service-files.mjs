// Which files of the workspace a service is made of: its own package and the
// workspace packages it depends on, found by following `workspace:` in their
// package.json. Lets a Dockerfile install before it copies sources, and keeps
// out of an image what its service does not import (the engine, for instance,
// is no part of the coordinator). Knows nothing about third-party packages.
//
//   node scripts/docker/service-files.mjs manifests|sources <service> <to>
import { cpSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [what, service, to] = process.argv.slice(2);
const workspace = new Map(
  globSync('{packages,services}/*/package.json').map((file) => {
    const manifest = JSON.parse(readFileSync(file, 'utf8'));
    return [manifest.name, { dir: join(file, '..'), dependencies: manifest.dependencies ?? {} }];
  }),
);

const needed = new Set();
function follow(name) {
  if (needed.has(name)) return;
  needed.add(name);
  for (const [dependency, range] of Object.entries(workspace.get(name).dependencies)) {
    if (range.startsWith('workspace:')) follow(dependency);
  }
}
const root = [...workspace].find(([, { dir }]) => dir === join('services', service))?.[0];
if (!root) throw new Error(`there is no services/${service}`);
follow(root);

for (const { dir } of [...needed].map((name) => workspace.get(name))) {
  const from = what === 'manifests' ? join(dir, 'package.json') : dir;
  cpSync(from, join(to, from), { recursive: true });
}
