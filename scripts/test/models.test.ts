import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const models = join(import.meta.dirname, '..', '..', 'models');
const sums = readFileSync(join(models, 'SHA256SUMS'), 'utf8').trim().split('\n');

describe('the embedded models', () => {
  it.each(sums.map((line) => line.split('  ') as [string, string]))('have the digest %s: %s', (digest, file) => {
    const bytes = readFileSync(join(models, file));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(digest);
  });

  it('list every file of every model, each under 50 MB', () => {
    const listed = new Set(sums.map((line) => line.split('  ')[1]));
    const folders = readdirSync(models, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name } of folders) {
      for (const file of readdirSync(join(models, name))) {
        expect(listed).toContain(`${name}/${file}`);
        expect(statSync(join(models, name, file)).size).toBeLessThan(50e6);
      }
    }
  });

  it('that the catalogue names are there, but for those that operators bring', () => {
    const { models: entries } = JSON.parse(readFileSync(join(models, 'catalogue.json'), 'utf8')) as {
      models: Record<string, { dir: string }>;
    };
    const brought = ['7b', '70b'];
    for (const [name, { dir }] of Object.entries(entries)) {
      if (!brought.includes(name)) expect(statSync(join(models, dir, 'config.json')).isFile()).toBe(true);
    }
  });
});
