/** Prometheus' own tools on our files, and every metric that rules and dashboard use against what services export. */

import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generate } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, isInstalled, root } from '../support/command.ts';
import { startPrometheus } from '../support/prometheus.ts';
import type { Stack } from '../support/stack.ts';
import { startStack } from '../support/start-stack.ts';
import { until } from '../support/until.ts';

const hasPromtool = await isInstalled('promtool');
const hasPrometheus = await isInstalled('prometheus');
const OURS = /^(forerunner_|spec_decode_)/;

describe.skipIf(!hasPromtool)('promtool', () => {
  it('accepts the configuration', () => command('promtool', ['check', 'config', 'monitoring/prometheus.yml']));
  it('accepts the rules', () =>
    command('promtool', ['check', 'rules', 'monitoring/rules/recording.yml', 'monitoring/rules/alerts.yml']));
  it('finds the rules right', () => command('promtool', ['test', 'rules', 'monitoring/rules.test.yml']));
});

describe('metrics', () => {
  let stack: Stack;
  const texts: string[] = [];

  beforeAll(async () => {
    stack = await startStack('faults');
    await generate(stack.url, { prompt: 'abc', max_new_tokens: 16 });
    for (const member of ['draft-service', 'target-service', 'speculative-coordinator'] as const) {
      texts.push(await (await fetch(`${stack.urlOf(member)}/metrics`)).text());
    }
  });
  afterAll(() => stack?.close());

  const exported = () =>
    new Set(texts.flatMap((text) => [...text.matchAll(/^([a-z_0-9]+)(?:\{| )/gm)].map((match) => match[1]!)));
  const used = (text: string) => new Set(text.match(/\b(?:forerunner_|spec_decode_)[a-z_0-9]+/g));

  it.skipIf(!hasPromtool)('that are ours please promtool', () => {
    for (const text of texts) {
      const own = text.split('\n').filter((line) => OURS.test(line.replace(/^# (HELP|TYPE) /, '')));
      const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: `${own.join('\n')}\n` });
      expect(`${stdout}${stderr}`).toBe('');
      expect(status).toBe(0);
    }
  });

  it.for(['rules/recording.yml', 'rules/alerts.yml', 'grafana/dashboards/forerunner.json'])(
    'that %s uses exist',
    async (file) => {
      const names = exported();
      const unknown = [...used(await readFile(join(root, 'monitoring', file), 'utf8'))].filter(
        (name) => !names.has(name),
      );
      expect(unknown).toEqual([]);
    },
  );

  it('that the dashboard takes from rules are recorded', async () => {
    const rules = await readFile(join(root, 'monitoring/rules/recording.yml'), 'utf8');
    const dashboard = await readFile(join(root, 'monitoring/grafana/dashboards/forerunner.json'), 'utf8');
    const alerts = await readFile(join(root, 'monitoring/rules/alerts.yml'), 'utf8');
    const recorded = new Set([...rules.matchAll(/record: (\S+)/g)].map((match) => match[1]));
    const wanted = new Set(`${dashboard}${alerts}`.match(/\bforerunner:[a-z_0-9:]+/g));
    expect([...wanted].filter((name) => !recorded.has(name))).toEqual([]);
    expect(wanted.size).toBeGreaterThan(5);
  });

  it.skipIf(!hasPrometheus)('fill every panel of the dashboard', async () => {
    const members = ['draft-service', 'target-service', 'speculative-coordinator'] as const;
    const prometheus = await startPrometheus(Object.fromEntries(members.map((name) => [name, stack.urlOf(name)])));
    try {
      // Rates need traffic between two scrapes.
      await generate(stack.url, { prompt: 'abc', max_new_tokens: 16 });
      const dashboard = JSON.parse(await readFile(join(root, 'monitoring/grafana/dashboards/forerunner.json'), 'utf8'));
      const panels = (dashboard as { panels: { targets?: { expr: string }[] }[] }).panels;
      const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
      expect(expressions.length).toBeGreaterThan(20);
      for (const expression of expressions) {
        await until(expression, async () => (await prometheus.query(expression)) !== undefined, 15_000);
      }
    } finally {
      await prometheus.stop();
    }
  });
});
