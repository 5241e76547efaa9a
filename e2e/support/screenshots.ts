/**
 * Pictures of the playground for the docs, as somebody sees it who runs `npm start`, opens the page, types a prompt and
 * presses Generate: the server's own drafting settings, then the target alone.
 *   node e2e/support/screenshots.ts http://127.0.0.1:8080 docs/images
 * A first run warms both sides up; of the next five, the one with the median speed-up is shown.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { PICTURED_PROMPT } from '../../scripts/docs/pictured-prompt.ts';
import { openBrowser } from './browser.ts';

const [url = 'http://127.0.0.1:8080', folder = 'docs/images'] = process.argv.slice(2);
const NUM_RUNS = 5;

const shots = [
  { name: 'playground-light', width: 1280, height: 900, colorScheme: 'light' },
  { name: 'playground-dark', width: 1280, height: 900, colorScheme: 'dark' },
  { name: 'playground-phone', width: 390, height: 844, colorScheme: 'light' },
] as const;

interface Run {
  readonly speedup: number;
  readonly pictures: Readonly<Record<string, Buffer>>;
}

const browser = await openBrowser({ deviceScaleFactor: 1 });
try {
  const page = await browser.context.newPage();
  await takeRun(page);
  const runs: Run[] = [];
  for (let i = 0; i < NUM_RUNS; i++) {
    const run = await takeRun(page);
    console.log(`run ${i + 1}: ${run.speedup} times the target alone`);
    runs.push(run);
  }
  runs.sort((a, b) => a.speedup - b.speedup);
  const median = runs[Math.floor(NUM_RUNS / 2)]!;
  for (const [name, picture] of Object.entries(median.pictures)) writeFileSync(join(folder, `${name}.png`), picture);
  console.log(`${Object.keys(median.pictures).join(', ')}: ${median.speedup}`);
} finally {
  await browser.close();
}

/** One answer on a fresh page, seen in every size and colour scheme. */
async function takeRun(page: Page): Promise<Run> {
  await page.setViewportSize(shots[0]);
  await page.goto(url);
  await page.fill('#prompt', PICTURED_PROMPT);
  await page.click('#run');
  await page.waitForSelector('#verdict:not([hidden])', { timeout: 120_000 });
  const speedup = Number.parseFloat((await page.textContent('#verdict b')) ?? '');
  const pictures: Record<string, Buffer> = {};
  for (const { name, width, height, colorScheme } of shots) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    pictures[name] = await page.screenshot({ fullPage: true });
  }
  return { speedup, pictures };
}
