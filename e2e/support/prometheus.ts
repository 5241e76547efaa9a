/** A real Prometheus as a host process, with the configuration and rules of monitoring/ and targets of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@forerunner/testkit';
import { root } from './command.ts';
import { until } from './until.ts';

export interface Prometheus {
  /** Value of an expression's first sample; undefined when it has none. Errors: when the expression is refused. */
  query(expression: string): Promise<number | undefined>;
  stop(): Promise<void>;
}

interface QueryReply {
  readonly data?: { readonly result: readonly { readonly value: readonly [number, string] }[] };
  readonly error?: string;
}

/** `targets`: job -> URL. Scrapes every second. */
export async function startPrometheus(targets: Record<string, string>): Promise<Prometheus> {
  const dir = await mkdtemp(join(tmpdir(), 'forerunner-prometheus-'));
  await cp(join(root, 'monitoring/rules'), join(dir, 'rules'), { recursive: true });
  const config = await readFile(join(root, 'monitoring/prometheus.yml'), 'utf8');
  await writeFile(join(dir, 'prometheus.yml'), config.replaceAll(/_interval: \d+s/g, '_interval: 1s'));
  const lines = Object.entries(targets).map(
    ([job, url]) => `- targets: ['${new URL(url).host}']\n  labels: { job: ${job} }\n`,
  );
  await cp(join(root, 'monitoring/targets'), join(dir, 'targets'), { recursive: true });
  await rm(join(dir, 'targets/second-target.yml'));
  await writeFile(join(dir, 'targets/trio.yml'), lines.join(''));

  const url = `http://127.0.0.1:${await freePort()}`;
  const child = spawn(
    'prometheus',
    [
      `--config.file=${dir}/prometheus.yml`,
      `--storage.tsdb.path=${dir}/data`,
      `--web.listen-address=${new URL(url).host}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    log += chunk;
  });
  const stop = async () => {
    await ended(child);
    await rm(dir, { recursive: true, force: true });
  };
  const query = async (expression: string) => {
    const reply = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const { data, error } = (await reply.json()) as QueryReply;
    if (!data) throw new Error(`Prometheus refuses ${expression}: ${error}`);
    const [first] = data.result;
    return first && Number(first.value[1]);
  };
  try {
    const expected = Object.keys(targets).length;
    await until('Prometheus scrapes every target', async () => (await query('sum(up)')) === expected);
  } catch (error) {
    await stop();
    throw new Error(`${(error as Error).message}\n${log.slice(-3000)}`, { cause: error });
  }
  return { query, stop };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}
