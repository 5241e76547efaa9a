/** `npm start`, past the toolchain: the processes, and what happens when one of them ends. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it } from 'vitest';

let trio: ChildProcess | undefined;
let output = '';
let ports: Record<string, string> = {};

afterEach(async () => {
  if (trio?.exitCode === null && trio.signalCode === null) await endBy('SIGTERM');
  output = '';
});

async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

/** Starts it and waits until it is ready, or until the output has come so far. */
async function startTrio(env: Record<string, string> = {}, reaches = 'Ready in', args: string[] = []): Promise<string> {
  const [DRAFT_PORT, TARGET_PORT, PORT] = await Promise.all([freePort(), freePort(), freePort()]);
  ports = { DRAFT_PORT, TARGET_PORT, PORT } as Record<string, string>;
  trio = spawn(process.execPath, [join(import.meta.dirname, '..', 'trio.ts'), ...args], {
    env: { PATH: process.env.PATH, MODEL_SIZE: 'tiny', ...ports, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [trio.stdout!, trio.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  await until(() => output.includes(reaches) || trio?.exitCode !== null);
  return `http://127.0.0.1:${PORT}`;
}

async function endBy(signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => trio?.once('exit', resolve));
  trio?.kill(signal);
  await ended;
}

/** Names of the ports on which somebody still answers. */
async function listening(): Promise<string[]> {
  const answers = await Promise.all(
    Object.entries(ports).map(([name, port]) =>
      fetch(`http://127.0.0.1:${port}/healthz`).then(
        () => name,
        () => '',
      ),
    ),
  );
  return answers.filter((name) => name !== '');
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (await isTrue()) return;
    await sleep(50);
  }
  throw new Error(`it did not happen; the output so far:\n${output}`);
}

function pidOf(service: string): number {
  const listing = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(trio?.pid)], { encoding: 'utf8' });
  return Number(
    listing
      .split('\n')
      .find((line) => line.includes(service))
      ?.trim()
      .split(' ')[0],
  );
}

interface Speculation {
  readonly num_drafts: number;
  readonly num_accepted_tokens: number;
}

async function ask(url: string, more: object = {}) {
  const drafting = { draft_k: 4, prompt_lookup: false, temperature: 0, ignore_eos: true };
  const body = JSON.stringify({ prompt: 'Once upon a time', max_new_tokens: 24, ...drafting, ...more });
  const answer = await fetch(`${url}/generate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  return (await answer.json()) as { text: string; metrics: { speculative_decoding: Speculation } };
}

it('starts no draft-service where there is to be none', async () => {
  const url = await startTrio({ DRAFT_ENDPOINT: '' });
  expect(output).toMatch(/draft-service +none/);
  expect(await listening()).toEqual(['TARGET_PORT', 'PORT']);
  expect((await ask(url)).metrics.speculative_decoding.num_drafts).toBe(0);
  await endBy('SIGTERM');
  expect(await listening()).toEqual([]);
});

it('runs the draft within the coordinator where it is to be embedded', async () => {
  const url = await startTrio({ DRAFT_ENDPOINT: 'embedded' });
  expect(output).toMatch(/draft-service +within the coordinator +tiny-draft/);
  expect(await listening()).toEqual(['TARGET_PORT', 'PORT']);
  expect((await ask(url)).metrics.speculative_decoding.num_accepted_tokens).toBeGreaterThan(0);
});

it('starts a service again that was killed, and answers with and without it', async () => {
  const url = await startTrio();
  const before = await ask(url);
  expect(before.metrics.speculative_decoding.num_drafts).toBeGreaterThan(0);
  const killed = pidOf('draft-service');
  await sleep(5_000); // what dies sooner ends the trio
  process.kill(killed, 'SIGKILL');
  await until(() => output.includes('draft-service ended by itself (SIGKILL); starting it again'));
  expect((await ask(url)).text).toBe(before.text);
  await until(async () => (await ask(url)).metrics.speculative_decoding.num_drafts > 0);
  expect((await ask(url)).text).toBe(before.text);
  expect(pidOf('draft-service')).not.toBe(killed);
});

it.each(['SIGTERM', 'SIGHUP'] as const)('stops all of it on a %s', async (signal) => {
  await startTrio();
  await endBy(signal);
  expect(output).toContain('Stopped.');
  expect(await listening()).toEqual([]);
});

it('starts nothing more when it is stopped while it starts', async () => {
  for (const delayMs of [300, 600, 900]) {
    await startTrio({}, 'Starting');
    await sleep(delayMs);
    await endBy('SIGTERM');
    await sleep(1_500); // a service that was started last would be up by then
    expect(await listening(), `after ${delayMs} ms`).toEqual([]);
    output = '';
  }
}, 30_000);

it('ends with code 1 when a service cannot start', async () => {
  await startTrio({ NUM_THREADS: 'many' });
  await until(() => trio?.exitCode !== null);
  expect(trio?.exitCode).toBe(1);
  expect(output).toMatch(/NUM_THREADS=many.*-service ended by itself \(exit code 1\); stopping the others/s);
});

describe('--target and --draft', () => {
  const root = join(import.meta.dirname, '..', '..');
  const tiny = join(root, 'models', 'tiny-target');
  const folder = mkdtempSync(join(tmpdir(), 'forerunner-models-'));
  const models = join(folder, 'models');
  afterAll(() => rmSync(folder, { recursive: true }));

  /** The importer's llama, with the tokenizer that it was trained for. */
  function importSmallLlama(name: string, precision: string): void {
    const source = join(folder, 'llama');
    cpSync(join(root, 'packages', 'model-import', 'test', 'fixtures', 'llama'), source, { recursive: true });
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(tiny, file), join(source, file));
    const cli = join(root, 'packages', 'cli', 'src', 'main.ts');
    const args = [cli, 'import', source, '--name', name, '--precision', precision, '--compare', 'never'];
    execFileSync(process.execPath, args, { env: { ...process.env, FORERUNNER_MODELS: models } });
  }

  it('serve models that were imported: the answer is the target’s own, and guesses are kept', async () => {
    importSmallLlama('my-own', 'float32');
    importSmallLlama('my-own-draft', 'int8');
    const url = await startTrio({ FORERUNNER_MODELS: models }, 'Ready in', ['--target', 'my-own']);
    expect(output).toMatch(/draft-service .*my-own-draft\n.*target-service .*my-own/);
    const answer = await ask(url);
    expect(answer.metrics.speculative_decoding.num_accepted_tokens).toBeGreaterThan(0);
    const alone = await ask(url, { speculative: false });
    expect(alone.metrics.speculative_decoding.num_drafts).toBe(0);
    expect(answer.text).toBe(alone.text);
  });

  it('serve an imported model with a draft of the catalogue', async () => {
    const url = await startTrio({ FORERUNNER_MODELS: models }, 'Ready in', ['--target', 'my-own', '--draft', 'tiny']);
    expect((await ask(url)).metrics.speculative_decoding.num_drafts).toBeGreaterThan(0);
  });

  it('serve a target alone where nobody names a draft, and say so', async () => {
    const url = await startTrio({}, 'Ready in', ['--target', tiny]);
    const answer = await ask(url);
    expect(answer.text.length).toBeGreaterThan(10);
    expect(answer.metrics.speculative_decoding.num_drafts).toBe(0);
    expect(output).toContain('none: guesses come from prompts and answers alone (--draft NAME)');
    expect(await listening()).toEqual(['TARGET_PORT', 'PORT']);
  });

  it.each([
    [['--target', 'nobody'], 1, /there is no model "nobody".* there are .*135m/],
    [['--targets', 'tiny'], 2, /--targets.*\nusage: npm start -- \[--target NAME/s],
  ])('refuse %j with code %i', async (args, code, message) => {
    await startTrio({}, 'nothing', args);
    expect(trio?.exitCode).toBe(code);
    expect(output).toMatch(message);
  });
});
