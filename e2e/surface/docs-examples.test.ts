/** The examples in the docs and the README do what they say: each is run, against the trio on the tiny pair. */
import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../support/command.ts';
import { pythonWith, runPython } from '../support/python.ts';
import { startTinyTrio, type TinyTrio } from '../support/tiny-trio.ts';

interface Example {
  readonly page: string;
  readonly language: string;
  readonly code: string;
}

const PAGES = [
  'README.md',
  ...globSync('docs/{quick-start,openai-api,choose-a-pair,tune-k,watch-it}.md', { cwd: root }),
];
const EVERYWHERE = /^```(sh|js|python)( skip: .*)?\n([\s\S]*?)^```/gm;
const examples = PAGES.flatMap((page): Example[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(EVERYWHERE)]
    .filter(([, , skip, code]) => skip === undefined && !/^(npm|docker|pnpm) /m.test(code!))
    .map(([, language, , code]) => ({ page, language: language!, code: code! })),
);
const python = pythonWith('openai');
const run = promisify(execFile);

let trio: TinyTrio;
const directory = mkdtempSync(join(tmpdir(), 'forerunner-docs-'));
beforeAll(async () => {
  trio = await startTinyTrio();
});
afterAll(async () => {
  await trio?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('the examples in the docs', () => {
  it('are found', () => {
    expect(examples.length).toBeGreaterThanOrEqual(9);
    expect(new Set(examples.map((example) => example.language))).toEqual(new Set(['sh', 'js', 'python']));
  });

  it.each(examples)('$page: $code', async ({ language, code }) => {
    const here = code
      .replaceAll('localhost:8080', new URL(trio.url).host)
      .replaceAll('--file keys.json', `--file ${join(directory, 'keys.json')}`);
    if (language === 'python') {
      if (!python) return console.warn('SKIPPED: no Python with the package openai');
      return expect((await runPython(python, here, {})).trim()).not.toBe('');
    }
    const [command, args, cwd] =
      language === 'sh'
        ? ['bash', ['-euo', 'pipefail', '-c', here], root]
        : [process.execPath, ['--input-type=module', '--eval', here], join(root, 'e2e')];
    const { stdout } = await run(command as string, args as string[], { cwd: cwd as string, timeout: 60_000 });
    expect(stdout.trim()).not.toBe('');
    expect(stdout).not.toMatch(/"error": ?\{/);
  });
});
