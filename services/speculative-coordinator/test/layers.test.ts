/** Imports between the coordinator's folders run one way, as ARCHITECTURE.md draws it. */
import { globSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = join(import.meta.dirname, '..', 'src');

/** What the files of a folder may import from; files of src/ itself that assemble nothing are free to all. */
const BELOW: Record<string, readonly string[]> = {
  pair: [],
  drafting: ['pair'],
  generation: ['drafting', 'pair'],
  routes: ['generation', 'pair', 'docs'],
  openai: ['routes', 'generation', 'pair', 'docs'],
};
const ASSEMBLY = ['app.ts', 'server.ts'];

/** Paths of the files that a file imports, from src/. */
function importsOf(file: string): string[] {
  const code = readFileSync(join(SRC, file), 'utf8');
  return [...code.matchAll(/from '(\.[^']+)'/g)].map(([, path]) => relative(SRC, resolve(SRC, file, '..', path!)));
}

describe.each(Object.keys(BELOW))('%s/', (folder) => {
  it('imports nothing from above', () => {
    const files = globSync(`${folder}/**/*.ts`, { cwd: SRC });
    expect(files.length).toBeGreaterThan(3);
    const upward = files.flatMap((file) =>
      importsOf(file)
        .filter((path) => {
          const [top] = path.split('/');
          const isFree = path === top && !ASSEMBLY.includes(path);
          return !isFree && top !== folder && !BELOW[folder]!.includes(top!);
        })
        .map((path) => `${file} -> ${path}`),
    );
    expect(upward).toEqual([]);
  });
});

describe('the engine of an embedded draft', () => {
  it('is loaded where it is wanted, and imported by nothing else', () => {
    const naming = globSync('**/*.ts', { cwd: SRC }).filter((file) =>
      readFileSync(join(SRC, file), 'utf8').includes("'@forerunner/draft-service"),
    );
    expect(naming).toEqual(['embedded-draft.ts']);
    expect(readFileSync(join(SRC, 'embedded-draft.ts'), 'utf8')).not.toMatch(/from '@forerunner\/draft-service/);
  });
});
