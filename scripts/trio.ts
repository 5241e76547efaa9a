/**
 * Runs the three services as processes, waits until all are ready, prints how to use them, and stops them cleanly.
 * One that dies is started again; one that cannot stay alive ends the trio, which says which and why.
 */
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { ConfigError } from '../packages/service-kit/src/config-error.ts';
import { findModel, isModel, listModels, type NamedModel } from '../packages/service-kit/src/model-names.ts';
import { ServiceProcess, type UnexpectedEnd } from '../packages/service-kit/src/service-process.ts';
import { hasChatTemplate } from '../packages/tokenizer/src/template-source.ts';

const env = process.env;
const HOST = env.HOST ?? '127.0.0.1';
/** Whatever ends sooner after its start would only end again. */
const MIN_LIFE_MS = 5_000;
const RESTART_AFTER_MS = 500;

const port = (name: string, fallback: number) => Number(env[name] ?? fallback);
const draftPort = port('DRAFT_PORT', 8001);
const targetPort = port('TARGET_PORT', 8002);
const coordinatorPort = port('PORT', 8080);
const { targetModel, draftModel } = chosenModels();
/** In place of a URL: no draft-service, the draft runs in the coordinator. */
const EMBEDDED = 'embedded';
const isEmbedded = env.DRAFT_ENDPOINT === EMBEDDED && draftModel !== undefined;

const draft = service('draft-service', draftPort, { MODEL_DIR: draftModel?.dir });
const target = service('target-service', targetPort, { MODEL_DIR: targetModel.dir });
const coordinator = service('speculative-coordinator', coordinatorPort, {
  MODEL_DIR: targetModel.dir,
  DRAFT_ENDPOINT: draftEndpoint(),
  ...(isEmbedded && { DRAFT_MODEL_DIR: draftModel.dir }),
  TARGET_ENDPOINT: env.TARGET_ENDPOINT ?? target.url,
});
// Without a draft guesses come from prompts and answers alone; an embedded one runs in the coordinator.
const models = draftModel && !isEmbedded ? [draft, target] : [target];
const services = [...models, coordinator];
const PORT_SETTINGS = {
  'draft-service': 'DRAFT_PORT',
  'target-service': 'TARGET_PORT',
  'speculative-coordinator': 'PORT',
};
const stopping = new AbortController();

await main();

async function main(): Promise<void> {
  for (const { name, port: wanted } of services) {
    if (!(await isFree(wanted))) {
      const setting = PORT_SETTINGS[name];
      console.error(`Port ${wanted} for ${name} is taken. Free it, or choose another: ${setting}=... npm start`);
      process.exit(1);
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0));
  // A terminal that was closed can't be written to; the services are to be stopped all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

  console.log(`Starting ${services.map(({ name }) => name).join(', ')} ...`);
  const startMs = Date.now();
  try {
    for (const model of models) model.spawn();
    for (const model of models) await model.ready(stopping.signal);
    coordinator.spawn();
    await coordinator.ready(stopping.signal);
  } catch (error) {
    if (stopping.signal.aborted) return;
    console.error((error as Error).message);
    return stop(1);
  }
  printUsage((Date.now() - startMs) / 1000);
}

function service(name: ServiceProcess['name'], wanted: number, own: NodeJS.ProcessEnv): ServiceProcess {
  const settings = { HOST, LOG_LEVEL: env.LOG_LEVEL ?? 'warn', ...own };
  const started: ServiceProcess = new ServiceProcess(name, wanted, settings, {
    onTerminal: true,
    onUnexpectedEnd: (end) => restartOrStop(started, end),
  });
  return started;
}

function restartOrStop(ended: ServiceProcess, { code, signal, lifeMs }: UnexpectedEnd): void {
  if (stopping.signal.aborted) return;
  const lasted = lifeMs >= MIN_LIFE_MS;
  const next = lasted ? 'starting it again' : 'stopping the others';
  console.error(`\n${ended.name} ended by itself (${signal ?? `exit code ${code}`}); ${next}.`);
  if (lasted) setTimeout(() => stopping.signal.aborted || ended.spawn(), RESTART_AFTER_MS);
  else void stop(1);
}

/** As it was given, where that is possible; '': there is no draft. */
function draftEndpoint(): string {
  const { DRAFT_ENDPOINT: given = draftModel ? draft.url : '' } = env;
  return given === EMBEDDED && !draftModel ? '' : given;
}

/** The coordinator first, so that answers under way can finish. */
async function stop(exitCode: number): Promise<void> {
  if (stopping.signal.aborted) return;
  stopping.abort();
  for (const running of services.toReversed()) await running.end();
  if (exitCode === 0) console.log('Stopped.');
  process.exit(exitCode);
}

/** --target and --draft, else the settings; a target that has no draft of its own, or is to have none, is served alone. */
function chosenModels(): { targetModel: NamedModel; draftModel: NamedModel | undefined } {
  try {
    const options = { target: { type: 'string' }, draft: { type: 'string' } } as const;
    const { values } = parseArgs({ options });
    const targetModel = findModel(values.target ?? env.MODEL_SIZE ?? '135m');
    const draftName = values.draft ?? env.DRAFT_MODEL_SIZE;
    if (env.DRAFT_ENDPOINT === '') return { targetModel, draftModel: undefined };
    if (draftName !== undefined) return { targetModel, draftModel: findModel(draftName) };
    const itsOwn = targetModel.name === '135m' ? '135m-feature-draft' : `${targetModel.name}-draft`;
    return { targetModel, draftModel: listModels().find(({ name, dir }) => name === itsOwn && isModel(dir)) };
  } catch (error) {
    const isWrongOption = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    if (!isWrongOption && !(error instanceof ConfigError)) throw error;
    console.error(`${(error as Error).message}\nusage: npm start -- [--target NAME|FOLDER] [--draft NAME|FOLDER]`);
    process.exit(isWrongOption ? 2 : 1);
  }
}

function whereTheDraftIs(): string {
  if (!draftModel) return 'none: guesses come from prompts and answers alone (--draft NAME)';
  return isEmbedded
    ? `within the coordinator  ${draftModel.name}`
    : `http://localhost:${draftPort}  ${draftModel.name}`;
}

function isFree(wanted: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(wanted, HOST, () => server.close(() => resolve(true)));
  });
}

function printUsage(seconds: number): void {
  const url = `http://${HOST === '127.0.0.1' ? 'localhost' : HOST}:${coordinatorPort}`;
  const example = hasChatTemplate(targetModel.dir)
    ? { messages: [{ role: 'user', content: 'Explain why the sky is blue.' }] }
    : { prompt: 'Once upon a time' };
  console.log(`
Ready in ${seconds.toFixed(1)} s.
  speculative-coordinator  ${url}      (POST /generate, GET /metrics)
  draft-service            ${whereTheDraftIs()}
  target-service           http://localhost:${targetPort}  ${targetModel.name}

Try it:
  curl -s ${url}/generate -H 'content-type: application/json' \\
    -d '${JSON.stringify({ ...example, max_new_tokens: 50 })}'

Ctrl-C stops all of them.`);
}
