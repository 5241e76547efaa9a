/**
 * Every public route against generated requests, valid and not, from the OpenAPI document (schemathesis). The short run
 * here takes seconds; `FUZZ_EXAMPLES=2500` sends more than 10,000 requests.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scrape } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pythonWith } from '../support/python.ts';
import { startTinyTrio, type TinyTrio } from '../support/tiny-trio.ts';

const EXAMPLES = Number(process.env.FUZZ_EXAMPLES ?? 40);
const TIMEOUT_MS = Math.max(120_000, EXAMPLES * 1000);
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
];

const python = pythonWith('schemathesis');
if (!python) console.warn('SKIPPED: no Python with schemathesis; `sh e2e/support/prepare-python.sh` installs it');

describe.skipIf(!python)('every public route', () => {
  let trio: TinyTrio;
  beforeAll(async () => {
    trio = await startTinyTrio();
  });
  afterAll(() => trio?.stop());

  it(
    'answers whatever is sent with a reply that its document describes, and never with a 5xx',
    async () => {
      const { code, output } = await fuzz(`${trio.url}/openapi.json`);
      expect(code, output.slice(-6000)).toBe(0);
      const statuses = new Map<string, number>();
      for (const [sample, count] of await scrape(trio.url)) {
        const status = /^forerunner_http_requests_total\{.*status="(\d+)"/.exec(sample)?.[1];
        if (status) statuses.set(status, (statuses.get(status) ?? 0) + count);
      }
      const total = [...statuses.values()].reduce((a, b) => a + b, 0);
      console.log(`fuzzed with ${total} requests:`, Object.fromEntries([...statuses].sort()));
      expect([...statuses.keys()].filter((status) => status >= '500')).toEqual([]);
      expect(statuses.get('200')).toBeGreaterThan(50); // not only refusals
      expect(statuses.get('400')).toBeGreaterThan(50);
      expect(total).toBeGreaterThan(500);
    },
    TIMEOUT_MS + 10_000,
  );
});

async function fuzz(url: string): Promise<{ code: number | null; output: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'forerunner-fuzz-'));
  const args = ['-m', 'schemathesis.cli', 'run', url, '--checks', CHECKS.join(','), '--max-examples', String(EXAMPLES)];
  // One worker: Python 3.11's ast.parse, which hypothesis calls, fails when two threads are in it (cpython#106905).
  const child = spawn(
    python!,
    [...args, '--workers', '1', '--request-timeout', '30', '--continue-on-failure', '--no-color', '--seed', '1'],
    {
      cwd: directory, // it keeps notes of its own where it runs
      env: { ...process.env, SCHEMATHESIS_HOOKS: join(import.meta.dirname, 'fuzz_hooks.py') },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  rmSync(directory, { recursive: true, force: true });
  return { code, output };
}
