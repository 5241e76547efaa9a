import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelCard } from '@forerunner/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { runToEnd, type ServiceProcess, startService } from './spawn-service.ts';

const mortal = new URL('./mortal-service.ts', import.meta.url);
let service: ServiceProcess | undefined;

afterEach(() => {
  service?.child.kill('SIGKILL');
  service = undefined;
});

describe('the start', () => {
  it.each([
    ['an unknown MODEL_SIZE', { MODEL_SIZE: '9000b' }, /MODEL_SIZE=9000b .* knows 135m, .*tiny/],
    ['a folder without a model', { MODEL_DIR: tmpdir() }, /MODEL_DIR: there is no model in/],
    ['a wrong number', { KV_CACHE_MB: 'plenty' }, /KV_CACHE_MB=plenty: must be a whole number from 1 to \d+ MiB/],
    ['options that are none', { PROVIDER_OPTIONS: 'fast' }, /PROVIDER_OPTIONS=fast: must be name=value/],
    ['a provider that is not there', { EXECUTION_PROVIDER: 'cuda', PROVIDER_OPTIONS: 'a=b' }, /cannot serve .*cuda/i],
    ['an unknown runtime', { RUNTIME: 'python' }, /RUNTIME=python: must be one of auto, native, node/],
  ])('is refused with one readable message for %s', async (_what, env, message) => {
    const { code, output } = await runToEnd(mortal, env);
    expect(code).toBe(1);
    expect(output).toMatch(message);
    expect(output).not.toMatch(/^\s+at /m);
  });

  it('says which settings have less effect than their names promise', async () => {
    service = await startService(mortal, { RUNTIME: 'node', BATCH_SIZE: '4', BATCHED_PASSES: 'true' });
    expect(service.output()).toContain('BATCHED_PASSES=true has no effect');
    expect(service.output()).toMatch(
      /"level":40.*"wanted":"batches of several sequences","used":"one sequence a pass"/,
    );
    const card = (await (await fetch(`${service.url}/v1/model`)).json()) as { max_batch_items: number };
    expect(card.max_batch_items).toBe(1);
  });

  it('is refused when the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await sleep(10);
    const { port } = other.address() as { port: number };
    try {
      const { code, output } = await runToEnd(mortal, { PORT: String(port) });
      expect([code, output]).toEqual([1, expect.stringContaining(`port ${port} on 127.0.0.1 is taken`)]);
    } finally {
      other.close();
    }
  });

  it.each(['own', 'shared'])('turns telemetry off before the model runtime is loaded (%s thread)', async (thread) => {
    const dir = mkdtempSync(join(tmpdir(), 'forerunner-'));
    try {
      // A diagnostic report shows the environment as the C library has it, and what is loaded.
      const options = ['--report-on-signal', '--report-signal=SIGUSR2', `--report-directory=${dir}`];
      service = await startService(mortal, { HOME: dir, ENGINE_THREAD: thread }, options);
      service.child.kill('SIGUSR2');
      const report = await reportIn(dir);
      expect(report.sharedObjects.some((path) => path.includes('onnxruntime'))).toBe(true);
      expect(report.environmentVariables.ORT_DISABLE_TELEMETRY).toBe('1');
      expect(readdirSync(dir).filter((name) => !name.startsWith('report'))).toEqual([]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

interface Report {
  readonly environmentVariables: Record<string, string>;
  readonly sharedObjects: readonly string[];
  readonly workers: readonly unknown[];
}

async function reportIn(dir: string): Promise<Report> {
  for (let i = 0; i < 100; i++) {
    const name = readdirSync(dir).find((entry) => entry.startsWith('report'));
    if (name && existsSync(join(dir, name))) {
      try {
        return JSON.parse(readFileSync(join(dir, name), 'utf8')) as Report;
      } catch {
        // still being written
      }
    }
    await sleep(50);
  }
  throw new Error('there is no report');
}

describe('the thread of the engine', () => {
  it.each([
    ['own', 'auto', 2],
    ['shared', 'auto', 1],
    ['shared', 'node', 2], // it would block the thread that serves HTTP
  ])('is as ENGINE_THREAD=%s with RUNTIME=%s says: %i event loops', async (thread, runtime, numLoops) => {
    const dir = mkdtempSync(join(tmpdir(), 'forerunner-'));
    try {
      const options = ['--report-on-signal', '--report-signal=SIGUSR2', `--report-directory=${dir}`];
      service = await startService(mortal, { ENGINE_THREAD: thread, RUNTIME: runtime }, options);
      service.child.kill('SIGUSR2');
      expect(1 + (await reportIn(dir)).workers.length).toBe(numLoops);
      expect((await fetch(`${service.url}/v1/wait/1`)).status).toBe(200);
      expect(service.output().includes('blocks its thread')).toBe(runtime === 'node');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('what was asked for and is not in use', () => {
  const library = '/nowhere/libonnxruntime.so.1';

  it.each([
    ['a library that cannot be loaded', { ORT_LIBRARY: library }, ['the native runtime', `the library ${library}`]],
    ['a library for the node runtime', { ORT_LIBRARY: library, RUNTIME: 'node' }, [`the library ${library}`]],
    ['a device that is not there', { EXECUTION_PROVIDER: 'auto' }, ['the execution provider cuda']],
    ['options for the CPU', { PROVIDER_OPTIONS: 'a=b,c=d' }, ['the provider options a, c']],
    ['batches of the node runtime', { RUNTIME: 'node', BATCH_SIZE: '4' }, ['batches of several sequences']],
    ['a shared thread', { RUNTIME: 'node', ENGINE_THREAD: 'shared' }, ['ENGINE_THREAD=shared']],
    ['nothing', {}, []],
  ])('is a warning and in the model card: %s', async (_what, env, wanted) => {
    service = await startService(mortal, env);
    const card = (await (await fetch(`${service.url}/v1/model`)).json()) as ModelCard;
    expect(card.fallbacks.map((fallback) => fallback.wanted)).toEqual(wanted);
    const warnings = service
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{"level":40'))
      .map((line) => JSON.parse(line) as { fallback: unknown; msg: string });
    expect(warnings.map(({ fallback }) => fallback)).toEqual(card.fallbacks);
    for (const [i, what] of wanted.entries()) expect(warnings[i]?.msg).toContain(`${what} is not in use, but `);
  });
});

describe('the end', () => {
  it.each([
    ['SIGTERM', 'own'],
    ['SIGINT', 'own'],
    ['SIGTERM', 'shared'],
  ] as const)('lets what is under way be answered, then exits 0 (%s, %s thread)', async (signal, thread) => {
    service = await startService(mortal, { ENGINE_THREAD: thread });
    const pending = fetch(`${service.url}/v1/wait/300`);
    await sleep(100);
    service.child.kill(signal);
    expect((await pending).status).toBe(200);
    expect(await service.exitCode()).toBe(0);
    await expect(fetch(`${service.url}/healthz`)).rejects.toThrow();
  });

  it('comes with an error, a readable line and code 1 when the worker dies', async () => {
    service = await startService(mortal, {});
    expect((await fetch(`${service.url}/readyz`)).status).toBe(200);
    const pending = fetch(`${service.url}/v1/wait/60000`);
    await sleep(50);
    await fetch(`${service.url}/v1/crash/0`);
    const answer = await pending;
    expect([answer.status, await answer.json()]).toMatchObject([503, { error: { code: 'shutting_down' } }]);
    expect(await service.exitCode()).toBe(1);
    expect(service.output()).toMatch(/something impossible happened.*the model's worker died: this process ends/);
  });

  it('comes with the error and code 1 when what shares its thread fails', async () => {
    service = await startService(mortal, { ENGINE_THREAD: 'shared' });
    const pending = fetch(`${service.url}/v1/wait/60000`);
    await fetch(`${service.url}/v1/crash/0`).catch(() => {});
    await expect(pending).rejects.toThrow();
    expect(await service.exitCode()).toBe(1);
    expect(service.output()).toMatch(/something impossible happened/);
  });
});
