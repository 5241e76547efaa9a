/**
 * Runs the three services as processes, waits until all are ready, prints how to use them, and stops them cleanly.
 * One that dies is started again; one that cannot stay alive ends the trio, which says which and why.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { LAUNCH, launchEnv, type ServiceName } from '../packages/service-kit/src/launch.ts';

const root = join(import.meta.dirname, '..');
const env = process.env;
const HOST = env.HOST ?? '127.0.0.1';
const READY_TIMEOUT_MS = 90_000;
/** Whatever ends sooner after its start would only end again. */
const MIN_LIFE_MS = 5_000;
const RESTART_AFTER_MS = 500;

interface Service {
  readonly name: ServiceName;
  readonly port: number;
  readonly env: Record<string, string>;
}

const port = (name: string, fallback: number) => Number(env[name] ?? fallback);
const draftPort = port('DRAFT_PORT', 8001);
const targetPort = port('TARGET_PORT', 8002);
const coordinatorPort = port('PORT', 8080);
const targetSize = env.MODEL_SIZE ?? '135m';
const draftSize = env.DRAFT_MODEL_SIZE ?? (targetSize === '135m' ? '135m-feature-draft' : `${targetSize}-draft`);

const services: Service[] = [
  { name: 'draft-service', port: draftPort, env: { MODEL_SIZE: draftSize } },
  { name: 'target-service', port: targetPort, env: { MODEL_SIZE: targetSize } },
  {
    name: 'speculative-coordinator',
    port: coordinatorPort,
    env: {
      MODEL_SIZE: targetSize,
      DRAFT_ENDPOINT: env.DRAFT_ENDPOINT ?? `http://${HOST}:${draftPort}`,
      // The best for the embedded pair on a CPU: the first guess rides in a row that is computed anyway, further ones
      // must be likely.
      ...(targetSize === '135m' && {
        DEFAULT_DRAFT_TOKENS: env.DEFAULT_DRAFT_TOKENS ?? '4',
        DEFAULT_MIN_CONFIDENCE: env.DEFAULT_MIN_CONFIDENCE ?? '0.7',
      }),
      TARGET_ENDPOINT: env.TARGET_ENDPOINT ?? `http://${HOST}:${targetPort}`,
    },
  },
];

const children = new Map<string, ChildProcess>();
let stopping = false;

await main();

async function main(): Promise<void> {
  for (const { name, port: wanted } of services) {
    if (!(await isFree(wanted))) {
      const setting = name === 'draft-service' ? 'DRAFT_PORT' : name === 'target-service' ? 'TARGET_PORT' : 'PORT';
      console.error(`Port ${wanted} for ${name} is taken. Free it, or choose another: ${setting}=... npm start`);
      process.exit(1);
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0));
  // A terminal that was closed can't be written to; the services are to be stopped all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

  console.log(`Starting ${services.map((service) => service.name).join(', ')} ...`);
  const startMs = Date.now();
  for (const service of services.slice(0, 2)) start(service);
  for (const service of services.slice(0, 2)) await ready(service);
  if (stopping) return;
  start(services[2]!);
  await ready(services[2]!);
  if (stopping) return;
  printUsage((Date.now() - startMs) / 1000);
}

function start(service: Service): void {
  const { flags } = LAUNCH[service.name];
  const child = spawn(process.execPath, [...flags, join(root, 'services', service.name, 'src', 'server.ts')], {
    cwd: root,
    env: {
      ...launchEnv(service.name, env),
      HOST,
      LOG_LEVEL: env.LOG_LEVEL ?? 'warn',
      ...service.env,
      PORT: String(service.port),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
    // A group of its own: Ctrl-C in the terminal reaches this process only, which then stops the three in order.
    detached: process.platform !== 'win32',
  });
  children.set(service.name, child);
  const startedMs = Date.now();
  child.on('exit', (code, signal) => {
    children.delete(service.name);
    if (stopping) return;
    const lasted = Date.now() - startedMs >= MIN_LIFE_MS;
    const next = lasted ? 'starting it again' : 'stopping the others';
    console.error(`\n${service.name} ended by itself (${signal ?? `exit code ${code}`}); ${next}.`);
    if (lasted) setTimeout(() => stopping || start(service), RESTART_AFTER_MS);
    else void stop(1);
  });
}

async function ready(service: Service): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadline && !stopping) {
    const answer = await fetch(`http://${HOST}:${service.port}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (stopping) return;
  console.error(`${service.name} was not ready after ${READY_TIMEOUT_MS / 1000} s`);
  await stop(1);
}

/** The coordinator first, so that answers under way can finish. */
async function stop(exitCode: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  for (const { name } of [...services].reverse()) {
    const child = children.get(name);
    if (!child) continue;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), 35_000);
    await ended;
    clearTimeout(killer);
  }
  if (exitCode === 0) console.log('Stopped.');
  process.exit(exitCode);
}

function isFree(wanted: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(wanted, HOST, () => server.close(() => resolve(true)));
  });
}

function printUsage(seconds: number): void {
  const coordinator = `http://${HOST === '127.0.0.1' ? 'localhost' : HOST}:${coordinatorPort}`;
  const example = targetSize.startsWith('tiny')
    ? { prompt: 'Once upon a time' } // the test pair has no chat template
    : { messages: [{ role: 'user', content: 'Explain why the sky is blue.' }] };
  console.log(`
Ready in ${seconds.toFixed(1)} s.
  speculative-coordinator  ${coordinator}      (POST /generate, GET /metrics)
  draft-service            http://localhost:${draftPort}  ${draftSize}
  target-service           http://localhost:${targetPort}  ${targetSize}

Try it:
  curl -s ${coordinator}/generate -H 'content-type: application/json' \\
    -d '${JSON.stringify({ ...example, max_new_tokens: 50 })}'

Ctrl-C stops all three.`);
}
