/**
 * Writes what the docs say of settings and of a real run, from where it is true:
 *   node scripts/generate-docs.ts            docs/configuration.md and the pictures of docs/algorithm.md
 * A test checks that what is committed is what this writes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationPage } from './docs/configuration.ts';
import { pictures, type RecordedRun } from './docs/pictures.ts';

const root = join(import.meta.dirname, '..');

/** Path in the repository → content. */
export function generatedDocs(): Map<string, string> {
  const run = JSON.parse(readFileSync(join(root, 'docs/images/recorded-run.json'), 'utf8')) as RecordedRun;
  return new Map([
    ['docs/configuration.md', configurationPage()],
    ...Object.entries(pictures(run)).map(([name, svg]) => [`docs/images/${name}.svg`, svg] as [string, string]),
  ]);
}

if (import.meta.main) {
  for (const [path, content] of generatedDocs()) {
    writeFileSync(join(root, path), content);
    console.log(path);
  }
}
