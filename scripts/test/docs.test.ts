import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generatedDocs } from '../generate-docs.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

describe('the docs', () => {
  it.each([...generatedDocs()])('%s is what its sources say (else: node scripts/generate-docs.ts)', (path, content) => {
    expect(read(path)).toBe(content);
  });

  it('name every setting with its reason', () => {
    const rows = read('docs/configuration.md')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows.length).toBeGreaterThan(40);
    expect(rows.filter((row) => row.endsWith('|  |'))).toEqual([]);
  });

  it('write every default as one would set it', () => {
    expect(read('docs/configuration.md')).not.toContain('[object');
  });

  it('list every decision, by the title that it has itself', () => {
    const index = read('docs/decisions/README.md');
    const listed = [...index.matchAll(/^\| (\d+) \| \[(.+)\]\((\d{4}-.+\.md)\) \| .+ \| .+ \|$/gm)].map(
      ([, number, title, file]) => [file, `# ${number}. ${title}`],
    );
    const decisions = globSync('docs/decisions/[0-9]*.md', { cwd: root }).sort();
    expect(listed).toEqual(decisions.map((path) => [basename(path), read(path).split('\n')[0]]));
  });

  it('link only to files that there are', () => {
    const broken = globSync('{docs/**,}*.md', { cwd: root }).flatMap((page) =>
      [...read(page).matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)]
        .map((match) => match[1]!)
        .filter((link) => !existsSync(join(root, dirname(page), link)))
        .map((link) => `${page}: ${link}`),
    );
    expect(broken).toEqual([]);
  });
});
