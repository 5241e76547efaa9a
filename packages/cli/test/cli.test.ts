/** The command line as a person uses it: processes, standard output, exit codes. */
import { execFile, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestHub } from '../../hub/test/hub.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'forerunner-cli-'));
const models = join(root, 'models');
const source = join(root, 'Small Llama');
afterAll(() => rmSync(root, { recursive: true }));

function forerunner(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [at('../src/main.ts'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, FORERUNNER_MODELS: models, ORT_DISABLE_TELEMETRY: '1' },
  });
  return { status, stdout, stderr };
}

beforeAll(() => {
  cpSync(at('../../model-import/test/fixtures/llama'), source, { recursive: true });
  rmSync(join(source, 'model.gguf'));
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(at(`../../../models/tiny-target/${file}`), join(source, file));
  }
});

it('imports, says what the precision costs, lists, inspects and deletes', () => {
  const imported = forerunner('import', source, '--json');
  expect(imported).toMatchObject({ status: 0, stderr: '' });
  const result = JSON.parse(imported.stdout);
  expect(result).toMatchObject({ name: 'small-llama-int8', family: 'llama', precision: 'int8', parameters: 127_296 });
  expect(result.comparison.numTokens).toBe(255); // all that its context has room for
  expect(result.comparison.agreement).toBeGreaterThan(0.9);
  expect(result.comparison.klDivergence).toBeGreaterThan(1e-7); // it was measured
  expect(result.comparison.klDivergence).toBeLessThan(0.01);
  expect(readdirSync(models)).toEqual(['small-llama-int8']); // the float32 one is gone

  const listed = JSON.parse(forerunner('list', '--json').stdout) as { name: string; source: string; bytes: number }[];
  expect(listed[0]).toMatchObject({ name: 'small-llama-int8', source: 'imported' });
  expect(listed.map(({ name }) => name)).toContain('135m');
  expect(forerunner('list').stdout).toMatch(/^small-llama-int8 +\d+\.\d kB +imported$/m);

  expect(forerunner('inspect', 'small-llama-int8').stdout).toMatch(/2 GroupQueryAttention: caches in place, several/);
  expect(forerunner('import', source)).toMatchObject({ status: 1, stderr: expect.stringMatching(/is there already/) });
  expect(forerunner('rm', 'small-llama-int8')).toMatchObject({ status: 0, stdout: 'small-llama-int8: deleted\n' });
  expect(readdirSync(models)).toEqual([]);
});

it('compares on a text of one’s own, or not at all', () => {
  const text = join(root, 'text.txt');
  writeFileSync(text, 'one two three');
  const options = ['--precision', 'int4', '--json'];
  const short = forerunner('import', source, '--name', 'on-text', '--text', text, ...options);
  expect(JSON.parse(short.stdout).comparison.numTokens).toBeLessThan(20);
  const never = forerunner('import', source, '--name', 'not-at-all', '--compare', 'never', ...options);
  expect(JSON.parse(never.stdout).comparison).toBeUndefined();
});

it('shows the commands, and examples of each', () => {
  expect(forerunner()).toMatchObject({ status: 0, stdout: expect.stringMatching(/usage: forerunner COMMAND.*serve/s) });
  for (const command of ['pull', 'import', 'list', 'inspect', 'pair', 'rm', 'completion']) {
    expect(forerunner(command, '--help').stdout).toMatch(new RegExp(`examples:\n  forerunner ${command}`));
  }
});

it.each([
  ['forerunner ', 'pull import inspect pair list rm completion serve key'],
  ['forerunner im', 'import'],
  ['forerunner pair --max', '--max-tokens --max-k'],
  ['forerunner serve --d', '--draft'],
  ['forerunner rm small', ''],
])('completes %j in bash', (line, words) => {
  const { stdout: script } = forerunner('completion', 'bash');
  const parts = line.split(' ');
  const ask = `${script}\nCOMP_WORDS=(${parts.map((part) => `'${part}'`).join(' ')}); COMP_CWORD=${parts.length - 1}
    forerunner() { printf 'tiny  1 kB\\n'; }; _forerunner; echo "\${COMPREPLY[*]}"`;
  expect(spawnSync('bash', ['-c', ask], { encoding: 'utf8', cwd: empty }).stdout.trim()).toBe(words);
});

it('completes names of models', () => {
  const { stdout: script } = forerunner('completion', 'bash');
  const ask = `${script}\nCOMP_WORDS=(forerunner pair t); COMP_CWORD=2
    forerunner() { printf 'tiny  1 kB\\ntiny-draft  1 kB\\n135m  1 kB\\n'; }; _forerunner; echo "\${COMPREPLY[*]}"`;
  expect(spawnSync('bash', ['-c', ask], { encoding: 'utf8' }).stdout.trim()).toBe('tiny tiny-draft');
});

it('writes completion for zsh and fish from the same table', () => {
  expect(forerunner('completion', 'zsh').stdout).toMatch(/pair\) words_here="--prompts .*--json/);
  expect(forerunner('completion', 'fish').stdout).toContain("'__fish_seen_subcommand_from pair' -l max-tokens");
  expect(forerunner('completion', 'csh')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/bash, zsh, fish/),
  });
});

const empty = join(root, 'empty');
mkdirSync(empty);

it.each([
  [['polish'], 2, /no command polish/],
  [['import'], 2, /import wants one SOURCE/],
  [['pull', 'model'], 2, /pull wants one NAME of list --hub/],
  [['import', 'x', '--precision', 'int2'], 2, /--precision is int8, int4, float16, float32, not int2/],
  [['import', 'x', '--name', '../x'], 2, /--name may have/],
  [['import', 'x', '--fast'], 2, /--fast/],
  [['import', '/nowhere'], 1, /there is no \/nowhere/],
  [['import', empty], 1, /has neither config.json nor a .gguf file/],
  [['import', at('../../model-import/test/fixtures/qwen2')], 1, /has no tokenizer.json; transformers' AutoTokenizer/],
  [['rm', '135m'], 2, /135m was not imported/],
  [['inspect', 'nobody'], 1, /there is no model "nobody"/],
])('answers %j with status %i and one sentence', (args, status, message) => {
  const { stderr, ...result } = forerunner(...args);
  expect(result).toEqual({ status, stdout: '' });
  expect(stderr).toMatch(message);
  expect(stderr).not.toContain('    at ');
  expect(existsSync(join(models, 'x'))).toBe(false);
});

it('lists what a hub has, with sizes that follow from shapes', () => {
  const known = JSON.parse(forerunner('list', '--hub', '--json').stdout) as {
    name: string;
    parameters: number;
    drafts: string[];
    weightBytes: { int4: number; float16: number };
  }[];
  const byName = new Map(known.map((model) => [model.name, model]));
  // As their cards say, in billions.
  const published = {
    'qwen2.5-0.5b': 0.49,
    'qwen2.5-72b': 72.7,
    'llama-3.1-8b': 8.03,
    'llama-3.1-70b': 70.6,
    'gemma-2-9b': 9.24,
  };
  for (const [name, billions] of Object.entries(published)) {
    expect(byName.get(name)!.parameters / 1e9 / billions).toBeCloseTo(1, 1.5);
  }
  for (const { parameters, weightBytes, drafts } of known) {
    expect(weightBytes.float16).toBe(2 * parameters);
    for (const draft of drafts) expect(byName.get(draft)!.parameters).toBeLessThan(parameters / 2);
  }
});

it('says before an import what the model will need', () => {
  const { stderr } = forerunner('import', source, '--name', 'needs', '--compare', 'never');
  expect(stderr).toMatch(/^needs to serve: \d+\.\d kB of weights, and \d+\.\d kB for 1,000 tokens of text$/m);
});

it('pulls from a hub and imports what it fetched', async () => {
  const read = (name: string) => readFileSync(join(source, name));
  const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'];
  const hub = await TestHub.start(Object.fromEntries(names.map((name) => [name, read(name)])));
  const env = { ...process.env, FORERUNNER_MODELS: models, HF_ENDPOINT: hub.endpoint, HF_HOME: join(root, 'hf') };
  const main = at('../src/main.ts');
  try {
    const args = [main, 'pull', 'org/model', '--compare', 'never', '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    expect(JSON.parse(stdout)).toMatchObject({ name: 'model-int8', family: 'llama', parameters: 127_296 });
    const catalogue = join(root, 'catalogue');
    mkdirSync(catalogue);
    const config = JSON.parse(read('config.json').toString());
    const known = { repository: 'org/model', licence: 'MIT', drafts: [], config };
    const content = { models: {}, aliases: { 'its-alias': 'its-name' }, hub: { 'its-name': known } };
    writeFileSync(join(catalogue, 'catalogue.json'), JSON.stringify(content));
    const byAlias = [main, 'pull', 'its-alias', '--name', 'by-alias', '--compare', 'never'];
    const pulled = await promisify(execFile)(process.execPath, byAlias, { env: { ...env, MODELS_DIR: catalogue } });
    expect(pulled.stderr).toContain('its-name is org/model, licence MIT');
    expect(existsSync(join(models, 'by-alias', 'model.onnx'))).toBe(true);
    const missing = promisify(execFile)(process.execPath, [main, 'pull', 'org/other'], { env });
    await expect(missing).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/has no org\/other at main/),
    });
  } finally {
    await hub.stop();
  }
});
