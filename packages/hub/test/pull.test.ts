/** Fetching, from a hub that misbehaves. */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chooseFiles, type HubRepository, hubSettings, pullFiles, readRepository } from '../src/index.ts';
import { TestHub } from './hub.ts';

const WEIGHTS = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) >> 3));
const FILES = {
  'config.json': Buffer.from('{"model_type":"llama"}'),
  'tokenizer.json': Buffer.from('{}'),
  'README.md': Buffer.from('not fetched'),
  'model.safetensors': WEIGHTS,
};

let hub: TestHub;
let root: string;
let progress: [number, number][];
beforeEach(async () => {
  hub = await TestHub.start(FILES);
  root = mkdtempSync(join(tmpdir(), 'hub-'));
  progress = [];
});
afterEach(async () => {
  await hub.stop();
  rmSync(root, { recursive: true });
});

async function pull(env: Record<string, string> = {}): Promise<string> {
  const settings = hubSettings({ HF_HOME: root, HF_ENDPOINT: `${hub.endpoint}/`, ...env });
  const repository = await readRepository('org/model', 'main', settings);
  return pullFiles(repository, chooseFiles(repository, undefined), {
    settings,
    onProgress: (done, total) => progress.push([done, total]),
    firstDelayMs: 1,
  });
}

function expectWhole(snapshot: string): void {
  expect(readdirSync(snapshot).toSorted()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
  expect(readFileSync(join(snapshot, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
  const total = WEIGHTS.length + FILES['config.json'].length + FILES['tokenizer.json'].length;
  expect(progress.at(-1)).toEqual([total, total]);
  expect(readdirSync(join(snapshot, '..', '..', 'blobs')).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
}

const weightRequests = () => hub.seen.filter(({ host }) => host === 'store');

it('fetches what makes a model, into the layout of huggingface_hub', async () => {
  const snapshot = await pull();
  expectWhole(snapshot);
  const repo = join(root, 'hub', 'models--org--model');
  expect(snapshot).toBe(join(repo, 'snapshots', 'a'.repeat(40)));
  expect(readFileSync(join(repo, 'refs', 'main'), 'utf8')).toBe('a'.repeat(40));
  expect(realpathSync(join(snapshot, 'config.json'))).toMatch(/blobs\/[0-9a-f]{40}$/);
  expect(realpathSync(join(snapshot, 'model.safetensors'))).toMatch(/blobs\/[0-9a-f]{64}$/);
});

it('asks for nothing but the listing the second time', async () => {
  await pull();
  hub.seen.length = 0;
  expectWhole(await pull());
  expect(hub.seen.map(({ path }) => path)).toEqual(['/api/models/org/model/revision/main']);
});

it('shows the token to the hub and to nobody that the hub sends it to', async () => {
  hub.token = 'hf_secret';
  expectWhole(await pull({ HF_TOKEN: 'hf_secret' }));
  expect(weightRequests()).toMatchObject([{ authorization: undefined }]);
  const fromFile = mkdtempSync(join(root, 'home-'));
  writeFileSync(join(fromFile, 'token'), 'hf_secret\n');
  progress = [];
  expectWhole(await pull({ HF_HOME: fromFile }));
  await expect(pull()).rejects.toMatchObject({ code: 'not_allowed', message: expect.stringMatching(/set HF_TOKEN/) });
});

describe('a hub that misbehaves', () => {
  it('cuts: the rest is asked for, and only the rest', async () => {
    Object.assign(hub.misbehaviour, { cutAfter: 100_000, cuts: 2 });
    expectWhole(await pull());
    const ranges = weightRequests().map(({ range }) => Number(/\d+/.exec(range ?? '0')![0]));
    expect(ranges).toHaveLength(3);
    expect(ranges[1]).toBeGreaterThan(0);
    expect(ranges[2]).toBeGreaterThan(ranges[1]!);
  });

  it('cuts for ever: an error that says how far it came, and the next time goes on from there', async () => {
    Object.assign(hub.misbehaviour, { cutAfter: 0, cuts: 100 });
    await expect(pull()).rejects.toMatchObject({ code: 'unreachable' });
    Object.assign(hub.misbehaviour, { cutAfter: 50_000, cuts: 1 });
    await pull();
    expect(weightRequests().at(-1)?.range).toMatch(/^bytes=\d+-$/);
  });

  it('knows no ranges: the file begins again', async () => {
    Object.assign(hub.misbehaviour, { cutAfter: 100_000, cuts: 1, ignoresRanges: true });
    expectWhole(await pull());
  });

  it('sends more than it said', async () => {
    hub.misbehaviour.surplus = 10;
    await expect(pull()).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/sends more than/),
    });
  });

  it('sends other bytes once: they are thrown away', async () => {
    hub.misbehaviour.corrupt = 1;
    expectWhole(await pull());
  });

  it('sends other bytes always: an error that names the file', async () => {
    hub.misbehaviour.corrupt = 100;
    await expect(pull()).rejects.toMatchObject({
      code: 'damaged',
      message: expect.stringMatching(/is not what the hub/),
    });
  });

  it.each([429, 503])('answers %i for a while', async (status) => {
    hub.misbehaviour.refusals = { status, count: 1, retryAfter: '0.01' };
    expectWhole(await pull());
  });
});

const repository = (...names: string[]): HubRepository => ({
  id: 'org/model',
  revision: 'main',
  commit: 'a',
  files: names.map((name) => ({ name, size: 1, checksum: { kind: 'sha256', value: name } })),
});

describe('chooseFiles', () => {
  const ggufs = ['config.json', 'm-Q4_K_M.gguf', 'm-Q8_0.gguf'];

  it.each([
    [['config.json', 'model.safetensors', 'pytorch_model.bin'], undefined, ['config.json', 'model.safetensors']],
    [
      [
        'model.safetensors.index.json',
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
        'consolidated.safetensors',
      ],
      undefined,
      ['model.safetensors.index.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'],
    ],
    [ggufs, 'q4_k_m', ['m-Q4_K_M.gguf']],
    [ggufs, 'm-Q8_0.gguf', ['m-Q8_0.gguf']],
    [['one.gguf', 'README.md'], undefined, ['one.gguf']],
  ])('of %j, asked for %j', (names, wanted, chosen) => {
    expect(chooseFiles(repository(...names), wanted).map(({ name }) => name)).toEqual(chosen);
  });

  it.each([
    [ggufs, undefined, /several GGUF files.*m-Q4_K_M.gguf, m-Q8_0.gguf/],
    [ggufs, 'Q5', /0 GGUF files .* like "Q5".*m-Q4_K_M.gguf/],
    [['pytorch_model.bin'], undefined, /neither model.safetensors nor a GGUF file/],
  ])('of %j, asked for %j, says what there is', (names, wanted, message) => {
    expect(() => chooseFiles(repository(...names), wanted)).toThrow(message);
  });
});
