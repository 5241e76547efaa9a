/** The images by themselves: what is in them, what they may do, and what they say when they cannot start. */
import { GenericContainer, Wait } from 'testcontainers';
import { describe, expect, inject, it } from 'vitest';
import { command, docker, tryCommand } from '../support/command.ts';
import { IMAGE_TAG } from '../support/global-setup.ts';

const image = (name: string) => `forerunner/${name}:${IMAGE_TAG}`;
const IMAGES = ['draft-service', 'target-service', 'speculative-coordinator'];

/** Runs an image to its end, with the restrictions of the compose file. */
async function run(name: string, env: Record<string, string>, command: string[] = []) {
  const settings = Object.entries(env).flatMap(([key, value]) => ['-e', `${key}=${value}`]);
  const restrictions = ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--network', 'none'];
  const args = ['run', '--rm', '--init', ...restrictions, ...settings, image(name), ...command];
  return tryCommand('docker', args, { timeoutMs: 60_000 });
}

/** Files below a folder of the image. */
async function filesOf(name: string, folder: string): Promise<string[]> {
  const { stdout } = await run(name, {}, ['find', folder, '-type', 'f']);
  return stdout.trim().split('\n');
}

describe.skipIf(inject('mode') !== 'containers')('the images', () => {
  it.for(IMAGES)('%s runs as a user without rights and keeps telemetry off', async (name) => {
    const { stdout } = await run(name, {}, [
      'node',
      '-e',
      'console.log(JSON.stringify([process.getuid(), process.env.ORT_DISABLE_TELEMETRY ?? null]))',
    ]);
    const [uid, telemetry] = JSON.parse(stdout) as [number, string | null];
    expect(uid).toBeGreaterThan(0);
    expect(telemetry).toBe(name === 'speculative-coordinator' ? null : '1');
  });

  it.for(IMAGES)('%s says what it is and when it is healthy', async (name) => {
    const [{ Config }] = JSON.parse(await docker('image', 'inspect', image(name))) as [
      { Config: { Labels: Record<string, string>; Healthcheck: { Test: string[] } } },
    ];
    expect(Config.Labels['org.opencontainers.image.title']).toBe(`forerunner ${name}`);
    expect(Config.Labels['org.opencontainers.image.licenses']).toBe('Apache-2.0');
    expect(Config.Labels['org.opencontainers.image.version']).toMatch(/^\d/);
    expect(Config.Healthcheck.Test).toContain('healthcheck.mjs');
  });

  it('holds one model in each model service, and no weights in the coordinator', async () => {
    const models = async (name: string) => {
      const weights = (await filesOf(name, '/app/models')).filter((file) => file.includes('.onnx'));
      return [...new Set(weights.map((file) => file.split('/')[3]))];
    };
    expect(await models('draft-service')).toHaveLength(1);
    expect(await models('target-service')).toEqual(['smollm2-135m-instruct-int8']);
    expect(await models('speculative-coordinator')).toEqual([]);
  });

  it('holds the runtime of this platform alone, and none in the coordinator', async () => {
    for (const name of ['draft-service', 'target-service']) {
      const runtimes = (await filesOf(name, '/app/node_modules')).filter((file) =>
        /onnxruntime_binding\.node$/.test(file),
      );
      expect(runtimes).toHaveLength(1);
    }
    const coordinator = await filesOf('speculative-coordinator', '/app');
    expect(coordinator.filter((file) => file.includes('onnxruntime'))).toEqual([]);
    expect(coordinator.filter((file) => file.includes('/packages/engine/'))).toEqual([]);
  });

  it('holds no tests of ours and no development tools', async () => {
    const unwanted =
      /^\/app\/(packages|services)\/.*\/test\/|\/node_modules\/(vitest|typescript|@biomejs|testcontainers)\//;
    for (const name of IMAGES) {
      expect((await filesOf(name, '/app')).filter((file) => unwanted.test(file))).toEqual([]);
    }
  });

  it('refuses wrong settings with one readable message', async () => {
    const { exitCode, stderr } = await run('target-service', { BATCH_SIZE: 'many' });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('BATCH_SIZE=many');
    expect(stderr).not.toContain('    at ');
  });

  it('says what is missing when a model is not there', async () => {
    const { exitCode, stderr } = await run('draft-service', { MODEL_DIR: '/nowhere' });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('/nowhere');
    expect(stderr).not.toContain('    at ');
  });

  it('says what is missing for CUDA, and exits', async () => {
    const { exitCode, stderr } = await run('target-service', { EXECUTION_PROVIDER: 'cuda' });
    expect(exitCode).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/cuda.*libonnxruntime_providers_shared\.so/);
  });

  it('goes on on the CPU with EXECUTION_PROVIDER=auto, says so in its card, and ends with 0 on SIGTERM', async () => {
    const container = await new GenericContainer(image('target-service'))
      .withEnvironment({ EXECUTION_PROVIDER: 'auto' })
      .withExposedPorts(8000)
      .withWaitStrategy(Wait.forHealthCheck())
      .start();
    try {
      const url = `http://127.0.0.1:${container.getMappedPort(8000)}`;
      const card = (await (await fetch(`${url}/v1/model`)).json()) as { execution_provider: string };
      expect(card.execution_provider).toBe('cpu');
      await docker('stop', container.getId());
      expect(await docker('inspect', '--format', '{{.State.ExitCode}}', container.getId())).toBe('0');
    } finally {
      await container.stop();
    }
  });
});

// Some 2 GB of wheels: not in every run. E2E_GPU_IMAGE=1 asks for it.
if (!process.env.E2E_GPU_IMAGE)
  console.log('the GPU image is skipped: it takes gigabytes of wheels; E2E_GPU_IMAGE=1 builds and checks it');
describe.skipIf(inject('mode') !== 'containers' || !process.env.E2E_GPU_IMAGE)('the GPU image', () => {
  const gpuImage = `forerunner/target-service:${IMAGE_TAG}-cuda13`;

  it('lacks nothing but the driver: every library loads up to libcuda.so.1', { timeout: 900_000 }, async () => {
    await command('docker', ['build', '-q', '--target', 'gpu', '-f', 'Dockerfile.target', '-t', gpuImage, '.'], {
      timeoutMs: 900_000,
    });
    const all = 'for f in /opt/onnxruntime/*.so /opt/cuda/*.so*; do ldd "$f"; done | grep "not found" | sort -u';
    const missing = await docker('run', '--rm', gpuImage, 'sh', '-c', all);
    expect(missing.trim()).toBe('libcuda.so.1 => not found');
    const libraries = await docker('run', '--rm', gpuImage, 'ls', '/opt/cuda');
    for (const name of ['cublas', 'cublasLt', 'cudnn', 'curand', 'cudart', 'nvrtc']) {
      expect(libraries).toMatch(new RegExp(`^lib${name}\\.so\\.\\d+$`, 'm'));
    }
    expect(libraries).not.toContain('cufft');
  });

  it('says in one line that the driver is missing, and exits', async () => {
    const { exitCode, stderr } = await tryCommand('docker', ['run', '--rm', gpuImage]);
    expect(exitCode).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('libcuda.so.1');
  });

  it('asks the NVIDIA runtime for CUDA and Vulkan', async () => {
    const env = await docker('image', 'inspect', '--format', '{{json .Config.Env}}', gpuImage);
    expect(env).toContain('NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics');
    expect(await docker('run', '--rm', gpuImage, 'sh', '-c', 'ldconfig -p')).toContain('libvulkan.so.1');
  });
});
