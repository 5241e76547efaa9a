/** However a process ends while its worker is in a run, it ends by itself and not by a crash. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const script = fileURLToPath(new URL('../../fixtures/exit-during-run.ts', import.meta.url));

test.each([
  { ending: 'process.exit', code: 0, signal: null, printed: 'running\n' },
  { ending: 'process.exit in the worker', code: 1, signal: null, printed: 'running\n' },
  { ending: 'an uncaught error', code: 1, signal: null, printed: 'running\n' },
  { ending: 'a signal', code: null, signal: 'SIGTERM', printed: 'running\n' },
  { ending: 'a signal that is handled', code: 0, signal: null, printed: 'running\n' },
  { ending: 'the end of the event loop', code: 0, signal: null, printed: 'running\nended\n' },
])('$ending during a run in a worker is no crash', async ({ ending, code, signal, printed }) => {
  const child = spawn(process.execPath, [script, ending], { timeout: 40_000, killSignal: 'SIGKILL' });
  const [exit, stdout] = await Promise.all([once(child, 'close'), text(child.stdout)]);
  expect(exit).toEqual([code, signal]);
  expect(stdout).toBe(printed);
});
