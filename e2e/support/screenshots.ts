/**
 * Pictures of the playground for the docs, taken from a real run against a running trio:
 *   node e2e/support/screenshots.ts http://127.0.0.1:8080 docs/images
 */
import { join } from 'node:path';
import { openBrowser } from './browser.ts';

const [url = 'http://127.0.0.1:8080', folder = 'docs/images'] = process.argv.slice(2);

const shots = [
  { name: 'playground-light', width: 1280, height: 900, colorScheme: 'light', draftK: '1' },
  { name: 'playground-dark', width: 1280, height: 900, colorScheme: 'dark', draftK: '1' },
  { name: 'playground-phone', width: 390, height: 844, colorScheme: 'light', draftK: '1' },
] as const;

for (const { name, width, height, colorScheme, draftK } of shots) {
  const browser = await openBrowser({ viewport: { width, height }, colorScheme, deviceScaleFactor: 1 });
  try {
    const page = await browser.context.newPage();
    await page.goto(url);
    await page.fill('#prompt', 'What is the capital of France? Describe it.');
    await page.fill('#draft_k', draftK);
    await page.click('#run');
    await page.waitForSelector('#verdict:not([hidden])', { timeout: 120_000 });
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    console.log(`${name}.png`);
  } finally {
    await browser.close();
  }
}
