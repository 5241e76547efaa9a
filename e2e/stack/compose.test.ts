/** What the compose files say, as Docker Compose reads them. Nothing is started. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { parse } from 'yaml';
import { command, root } from '../support/command.ts';

interface Service {
  readonly image: string;
  readonly build?: { dockerfile: string; target?: string; args?: Record<string, string> };
  readonly environment: Record<string, string>;
  readonly ports?: { host_ip: string; published: string; target: number }[];
  readonly volumes?: { source: string; target: string; read_only?: boolean }[];
  readonly depends_on?: Record<string, { condition: string }>;
  readonly networks: Record<string, unknown>;
  readonly deploy?: { resources: { reservations: { devices: Device[] } } };
  readonly [key: string]: unknown;
}
interface Device {
  readonly driver: string;
  readonly device_ids: string[];
  readonly capabilities: string[];
}
interface Composed {
  readonly services: Record<string, Service>;
  readonly networks: Record<string, { internal?: boolean }>;
}

async function composed(files: string[], env: Record<string, string> = {}, profile = ''): Promise<Composed> {
  const args = files.flatMap((file) => ['-f', file]).concat(profile ? ['--profile', profile] : []);
  return parse(await command('docker', ['compose', ...args, 'config'], { env })) as Composed;
}

const CPU = ['docker-compose.yml'];
const GPU = ['docker-compose.yml', 'docker-compose.gpu.yml'];
const TRIO = ['draft-service', 'target-service', 'speculative-coordinator'];

describe.skipIf(inject('mode') !== 'containers')('docker-compose.yml', () => {
  it('gives the services the environment of the layout that the project mirrors', async () => {
    const { services } = await composed(CPU);
    expect(Object.keys(services).toSorted()).toEqual(TRIO.toSorted());
    expect(services['draft-service']!.environment).toMatchObject({
      MODEL_SIZE: '135m-feature-draft',
      BATCH_SIZE: '32',
      MAX_PASS_TOKENS: '256',
      PREFIX_CACHE: 'true',
    });
    expect(services['target-service']!.environment).toMatchObject({
      MODEL_SIZE: '135m',
      BATCH_SIZE: '8',
      MAX_PASS_TOKENS: '256',
      PREFIX_CACHE: 'true',
    });
    expect(services['speculative-coordinator']!.environment).toMatchObject({
      DRAFT_ENDPOINT: 'http://draft-service:8000',
      TARGET_ENDPOINT: 'http://target-service:8000',
      MAX_DRAFT_TOKENS: '6',
    });
  });

  it('publishes the coordinator alone, to this machine alone', async () => {
    const { services } = await composed(CPU, { PORT: '' });
    expect(services['draft-service']!.ports).toBeUndefined();
    expect(services['target-service']!.ports).toBeUndefined();
    expect(services['speculative-coordinator']!.ports).toMatchObject([
      { host_ip: '127.0.0.1', published: '8080', target: 8000 },
    ]);
  });

  it('starts the coordinator when both model services are healthy', async () => {
    const { services } = await composed(CPU);
    expect(services['speculative-coordinator']!.depends_on).toMatchObject({
      'draft-service': { condition: 'service_healthy' },
      'target-service': { condition: 'service_healthy' },
    });
  });

  it('keeps the model services on a network without a way out', async () => {
    const { services, networks } = await composed(CPU);
    for (const name of ['draft-service', 'target-service']) {
      expect(Object.keys(services[name]!.networks)).toEqual(['trio']);
    }
    expect(networks.trio!.internal).toBe(true);
  });

  it.for(TRIO)('gives %s no rights that it does not need', async (name) => {
    for (const files of [CPU, GPU]) {
      const { services } = await composed(files);
      expect(services[name]).toMatchObject({
        read_only: true,
        tmpfs: ['/tmp'],
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        init: true,
        restart: 'unless-stopped',
      });
    }
  });

  it.for(TRIO.slice(0, 2))('gives %s an explicit number of threads', async (name) => {
    const { services } = await composed(CPU);
    expect(Number(services[name]!.environment.NUM_THREADS)).toBeGreaterThanOrEqual(1);
  });

  it.for([
    [{}, '135m-feature-draft', '135m'],
    [{ DRAFT_MODEL_SIZE: 'tiny-draft', TARGET_MODEL_SIZE: 'tiny' }, 'tiny-draft', 'tiny'],
  ] as const)('builds the models that it serves into the images: %o', async ([env, draft, target]) => {
    const { services } = await composed(CPU, { ...env });
    const sizes = TRIO.map((name) => [services[name]!.environment.MODEL_SIZE, services[name]!.build!.args]);
    expect(sizes).toEqual([draft, target, target].map((size) => [size, { MODEL_SIZE: size }]));
  });

  it('brings Prometheus and Grafana, to this machine alone, when they are asked for', async () => {
    const { services } = await composed(CPU, {}, 'monitoring');
    for (const name of ['prometheus', 'grafana']) {
      expect(services[name]!.image).toMatch(/:v?\d+\.\d+\.\d+$/);
      expect(services[name]!.ports!.map((port) => port.host_ip)).toEqual(['127.0.0.1']);
    }
  });
});

describe.skipIf(inject('mode') !== 'containers')('docker-compose.gpu.yml', () => {
  const devicesOf = (service: Service) => service.deploy!.resources.reservations.devices;

  it('reserves one GPU for the draft and two others for the target', async () => {
    const { services } = await composed(GPU);
    const draft = devicesOf(services['draft-service']!);
    const target = ['target-service', 'target-service-2'].flatMap((name) => devicesOf(services[name]!));
    for (const device of [...draft, ...target]) {
      expect(device).toMatchObject({ driver: 'nvidia', capabilities: ['gpu'] });
      expect(device.device_ids).toHaveLength(1);
    }
    expect(draft).toHaveLength(1);
    expect(target).toHaveLength(2);
    expect(new Set([...draft, ...target].flatMap((device) => device.device_ids)).size).toBe(3);
  });

  it('lets the operator choose devices, provider and models', async () => {
    const { services } = await composed(GPU, {
      DRAFT_GPU: '3',
      TARGET_GPU: '4',
      TARGET_GPU_2: '5',
      EXECUTION_PROVIDER: 'webgpu',
      TARGET_MODEL_SIZE: '7b',
      TARGET_MODEL_DIR: '/models/mine',
      MODELS_PATH: '/srv/models',
    });
    expect(devicesOf(services['draft-service']!)[0]!.device_ids).toEqual(['3']);
    expect(devicesOf(services['target-service']!)[0]!.device_ids).toEqual(['4']);
    expect(devicesOf(services['target-service-2']!)[0]!.device_ids).toEqual(['5']);
    for (const name of ['target-service', 'target-service-2', 'speculative-coordinator']) {
      expect(services[name]!.environment).toMatchObject({ MODEL_SIZE: '7b', MODEL_DIR: '/models/mine' });
    }
    expect(services['target-service']!.environment.EXECUTION_PROVIDER).toBe('webgpu');
  });

  it('uses the GPU images, CUDA by default, on the large models', async () => {
    const { services } = await composed(GPU);
    for (const name of ['draft-service', 'target-service', 'target-service-2']) {
      expect(services[name]!.build!.target).toBe('gpu');
      expect(services[name]!.image).toMatch(/-cuda13$/);
      expect(services[name]!.environment.EXECUTION_PROVIDER).toBe('cuda');
    }
    expect(services['draft-service']!.environment.MODEL_SIZE).toBe('7b');
    expect(services['target-service']!.environment).toMatchObject({ MODEL_SIZE: '70b', MODEL_DIR: '/models/70b' });
  });

  it('gives GPUs settings of their own, which the environment may change', async () => {
    const usual = (await composed(GPU)).services;
    for (const name of ['draft-service', 'target-service', 'target-service-2']) {
      expect(usual[name]!.environment).toMatchObject({ PREFILL_CHUNK_TOKENS: '2048', MAX_PASS_TOKENS: '2304' });
    }
    expect(usual['speculative-coordinator']!.environment).toMatchObject({
      MAX_CONCURRENT_REQUESTS: '64',
      MAX_WAITING_REQUESTS: '256',
      DRAFT_TIMEOUT_MS: '3000',
      TARGET_TIMEOUT_MS: '60000',
    });
    const own = (await composed(GPU, { TARGET_MAX_PASS_TOKENS: '512', TARGET_PROVIDER_OPTIONS: 'use_tf32=0' }))
      .services;
    expect(own['target-service-2']!.environment).toMatchObject({
      MAX_PASS_TOKENS: '512',
      PROVIDER_OPTIONS: 'use_tf32=0',
    });
  });

  it('builds the images on embedded models, whatever is mounted', async () => {
    const { services } = await composed(GPU, { DRAFT_MODEL_SIZE: 'mine', TARGET_MODEL_SIZE: 'ours' });
    const draft = services['draft-service']!;
    expect(draft.environment).toMatchObject({ MODEL_SIZE: 'mine', MODEL_DIR: '/models/mine' });
    expect(draft.build).toMatchObject({ target: 'gpu', args: { MODEL_SIZE: '135m-feature-draft' } });
    for (const name of ['target-service', 'target-service-2', 'speculative-coordinator']) {
      expect(services[name]!.environment).toMatchObject({ MODEL_SIZE: 'ours', MODEL_DIR: '/models/ours' });
      expect(services[name]!.build!.args).toEqual({ MODEL_SIZE: '135m' });
    }
  });

  it('mounts the models read-only into all that read them', async () => {
    const { services } = await composed(GPU, { MODELS_PATH: '/srv/models' });
    for (const name of [...TRIO, 'target-service-2']) {
      expect(services[name]!.volumes).toMatchObject([{ source: '/srv/models', target: '/models', read_only: true }]);
    }
  });

  it('tells the coordinator of both replicas, and waits for both', async () => {
    const coordinator = (await composed(GPU)).services['speculative-coordinator']!;
    expect(coordinator.environment.TARGET_ENDPOINT).toBe('http://target-service:8000,http://target-service-2:8000');
    expect(coordinator.depends_on).toMatchObject({ 'target-service-2': { condition: 'service_healthy' } });
  });

  it('gives the second replica the same settings as the first', async () => {
    const { services } = await composed(GPU);
    const { deploy: _1, ...first } = services['target-service']!;
    const { deploy: _2, ...second } = services['target-service-2']!;
    expect(second).toEqual(first);
  });
});

describe('pinned versions', () => {
  const read = (file: string) => readFile(join(root, file), 'utf8');

  it('the CUDA provider of the GPU images is of the version of onnxruntime-node', async () => {
    const { catalog } = parse(await read('pnpm-workspace.yaml')) as { catalog: Record<string, string> };
    const requirements = await read('scripts/docker/cuda-requirements.txt');
    expect(requirements).toMatch(new RegExp(`^onnxruntime-gpu==${catalog['onnxruntime-node']} --hash`, 'm'));
  });

  it.for(['draft', 'target', 'coordinator'])(
    'the base of Dockerfile.%s is the Node that the project is tested on',
    async (name) => {
      const major = (await read('.node-version')).split('.')[0];
      expect(await read(`Dockerfile.${name}`)).toContain(`ARG NODE_IMAGE=node:${major}-bookworm-slim`);
    },
  );
});
