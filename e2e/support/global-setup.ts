/**
 * Decides once whether the scenarios run against containers or, where there is no Docker engine, against processes,
 * and says so. Builds the images. E2E_MODE=containers fails instead of falling back; E2E_MODE=processes does not try.
 */
import type { TestProject } from 'vitest/node';
import { command, isInstalled, tryCommand } from './command.ts';

export type Mode = 'containers' | 'processes';

declare module 'vitest' {
  interface ProvidedContext {
    mode: Mode;
  }
}

/** Tag of the images that the suite builds. */
export const IMAGE_TAG = 'e2e';

export default async function setup(project: TestProject): Promise<void> {
  const mode = await decide(process.env.E2E_MODE ?? 'auto');
  project.provide('mode', mode);
  if (mode === 'containers') {
    const startedMs = Date.now();
    await command('docker', ['compose', 'build'], { env: { FORERUNNER_VERSION: IMAGE_TAG }, timeoutMs: 900_000 });
    console.log(`e2e: images built in ${Math.round((Date.now() - startedMs) / 1000)} s`);
  }
  if (await isInstalled('promtool')) return;
  const install = 'scripts/docker/install-prometheus.sh';
  const { exitCode, stderr } = process.env.CI
    ? await tryCommand(install, [], { timeoutMs: 180_000 })
    : { exitCode: 1, stderr: `${install} installs it on Debian` };
  if (exitCode !== 0) shout('no Prometheus here: rules and scraping are NOT tested', stderr);
}

async function decide(requested: string): Promise<Mode> {
  if (requested === 'processes') {
    shout('E2E_MODE=processes: the scenarios run against plain processes, images and compose files are NOT tested');
    return 'processes';
  }
  // Only CI, or somebody who asks for containers, gets an engine installed; others use the one that they have.
  if (requested === 'auto' && !process.env.CI && !(await engineAnswers())) {
    shout(
      'NO DOCKER HERE: the scenarios run against plain processes, images and compose files are NOT tested',
      'scripts/docker/prepare.sh makes Docker usable on Debian, or install it yourself',
    );
    return 'processes';
  }
  const { exitCode, stdout, stderr } = await tryCommand('scripts/docker/prepare.sh', [], { timeoutMs: 900_000 });
  if (exitCode === 0) {
    console.log(stdout.trim());
    return 'containers';
  }
  if (requested === 'containers') throw new Error(`E2E_MODE=containers, but Docker is not available: ${stderr}`);
  shout('NO DOCKER HERE: the scenarios run against plain processes, images and compose files are NOT tested', stderr);
  return 'processes';
}

async function engineAnswers(): Promise<boolean> {
  return (
    (await isInstalled('docker')) && (await tryCommand('docker', ['version'], { timeoutMs: 20_000 })).exitCode === 0
  );
}

function shout(headline: string, reason = ''): void {
  const bar = '!'.repeat(Math.min(headline.length + 4, 120));
  console.warn(`\n${bar}\n! ${headline}\n${reason.trim() && `! ${reason.trim().split('\n').join('\n! ')}\n`}${bar}\n`);
}
