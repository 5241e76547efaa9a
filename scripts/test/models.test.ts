import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modelDigest } from '../../packages/engine/src/model-digest.ts';

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

  it('have a feature draft that was trained on the very target that ships with it', () => {
    const config = readFileSync(join(models, 'smollm2-135m-draft-feature-int8', 'config.json'), 'utf8');
    const { draft_hidden_states } = JSON.parse(config) as { draft_hidden_states: { target_digest: string } };
    expect(draft_hidden_states.target_digest).toBe(modelDigest(join(models, 'smollm2-135m-instruct-int8')));
  });
});

describe('the models of an image', () => {
  const script = join(models, '..', 'scripts', 'docker', 'model-files.mjs');
  let to: string;
  beforeEach(() => {
    to = mkdtempSync(join(tmpdir(), 'forerunner-'));
  });
  afterEach(() => rmSync(to, { recursive: true }));

  it.each([
    ['135m-feature-draft', 'smollm2-135m-draft-feature-int8'],
    ['135m-draft', 'smollm2-135m-draft-4l-int8'],
  ])('are %s alone, with all its files, the catalogue and the licence', (size, folder) => {
    execFileSync(process.execPath, [script, models, size, to]);
    expect(readdirSync(to).toSorted()).toEqual(
      ['LICENSE-Apache-2.0.txt', 'MODELS.md', 'catalogue.json', folder].toSorted(),
    );
    expect(readdirSync(join(to, folder))).toEqual(readdirSync(join(models, folder)));
  });

  it('are without weights for a service that has the tokenizer only', () => {
    execFileSync(process.execPath, [script, models, '135m', to, '--tokenizer']);
    const files = readdirSync(join(to, 'smollm2-135m-instruct-int8'));
    expect(files).toEqual(expect.arrayContaining(['config.json', 'tokenizer.json', 'tokenizer_config.json']));
    expect(files.filter((file) => file.includes('.onnx'))).toEqual([]);
  });

  it('are refused by name when the catalogue has them and the repository does not', () => {
    const { status, stderr } = spawnSync(process.execPath, [script, models, '70b', to], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^MODEL_SIZE=70b is not among the embedded models/)]);
  });

  it('are refused by name when the catalogue has none such', () => {
    const { status, stderr } = spawnSync(process.execPath, [script, models, 'nope', to], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^MODEL_SIZE=nope is not in .*135m-draft/)]);
  });
});
