/** The playground and the API reader in Debian's Chromium, on the trio with the tiny pair. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Browser, hasChromium, openBrowser } from '../support/browser.ts';
import { root } from '../support/command.ts';
import { startTinyTrio, type TinyTrio } from '../support/tiny-trio.ts';

if (!hasChromium)
  console.warn('SKIPPED: no /usr/bin/chromium (apt-get install chromium); the playground is not tested');

describe.skipIf(!hasChromium)('the playground', () => {
  let trio: TinyTrio;
  let browser: Browser;
  /** What the page asked of anybody but this server, and what its policy refused. */
  const strays: string[] = [];

  beforeAll(async () => {
    trio = await startTinyTrio();
    browser = await openBrowser({ viewport: { width: 1280, height: 900 } });
  });
  afterAll(async () => {
    await browser?.close();
    await trio?.stop();
  });

  async function open(path = '/'): Promise<Page> {
    const page = await browser.context.newPage();
    page.on('request', (request) => {
      if (!request.url().startsWith(trio.url) && !request.url().startsWith('data:')) strays.push(request.url());
    });
    page.on('console', (message) => {
      if (message.type() === 'error') strays.push(message.text());
    });
    page.on('pageerror', (error) => strays.push(error.message));
    await page.goto(trio.url + path);
    return page;
  }

  async function run(page: Page, settings: Record<string, string> = {}): Promise<void> {
    for (const [id, value] of Object.entries(settings)) await page.fill(`#${id}`, value);
    await page.click('#run');
    await page.waitForSelector('#run:not([disabled])', { timeout: 60_000 });
  }

  /** Code for the page as text: this side of the program has no DOM, in its types neither. */
  const inPage = <T>(page: Page, expression: string) => page.evaluate<T>(expression);
  const textOf = (page: Page, id: string) => page.locator(`#${id} .text`).evaluate((element) => element.textContent);

  it('streams an answer whose tokens are marked, and says the same as the target alone', async () => {
    const page = await open();
    await page.check('[name=mode][value=prompt]', { force: true });
    await run(page, { prompt: 'Once upon a time', max_new_tokens: '60', draft_k: '4' });
    const kinds = await page
      .locator('#speculative .token')
      .evaluateAll((tokens) => tokens.map((token) => token.className.replace('token ', '')));
    expect(kinds).toHaveLength(60);
    expect(new Set(kinds)).toEqual(new Set(['target', 'accepted', 'recovered', 'bonus']));
    expect(await textOf(page, 'speculative')).toBe(await textOf(page, 'alone'));
    expect(await page.textContent('#verdict')).toMatch(/^With the draft \d+\.\d\d× .* the same, token for token\.$/);
    await page.close();
  });

  it('counts in the legend and charts what it shows in the text', async () => {
    const page = await open();
    await page.check('[name=mode][value=prompt]', { force: true });
    await run(page, { prompt: 'The cat sat', max_new_tokens: '50', draft_k: '3' });
    for (const kind of ['accepted', 'recovered', 'bonus', 'target']) {
      const shown = Number(await page.textContent(`[data-count=${kind}]`));
      expect(shown).toBe(await page.locator(`#speculative .token.${kind}`).count());
    }
    const refused = Number(await page.textContent('[data-count=refused]'));
    expect(await page.locator('#timeline .mark.refused').count()).toBe(refused);
    expect(await page.locator('#bars tr').count()).toBe(3);
    expect(await page.getAttribute('#timeline', 'aria-label')).toMatch(/draft tokens kept/);
    await page.close();
  });

  it('holds the answer to a schema, and tells the tokens that it forced', async () => {
    const page = await open();
    await page.evaluate("document.querySelector('.more').open = true");
    await page.fill('#schema', '{"enum": ["a long answer that is forced to its end"]}');
    await run(page, { prompt: 'Hello', max_new_tokens: '40' });
    expect(await textOf(page, 'speculative')).toBe('"a long answer that is forced to its end"');
    expect(await page.locator('#speculative .token.forced').count()).toBeGreaterThan(5);
    expect(Number(await page.textContent('[data-count=forced]'))).toBeGreaterThan(5);
    await page.close();
  });

  it('has tools called, tells the tokens that are forced, and says the same as the target alone', async () => {
    const page = await open();
    await page.evaluate("document.querySelector('.more').open = true");
    const parameters = { type: 'object', properties: { mood: { enum: ['good', 'bad'] } }, required: ['mood'] };
    await page.fill('#tools', JSON.stringify([{ type: 'function', function: { name: 'say', parameters } }]));
    await page.selectOption('#tool_choice', 'required');
    await run(page, { prompt: 'Hello', max_new_tokens: '70' });
    expect(await textOf(page, 'speculative')).toMatch(
      /^<tool_call>\n\{"name": "say", "arguments": \{"mood": "(good|bad)/,
    );
    expect(await page.locator('#speculative .token.forced').count()).toBeGreaterThan(5);
    expect(await page.textContent('#speculative .figures')).toMatch(/callssay\(\{"mood": "(good|bad)"\}\)/);
    expect(await textOf(page, 'alone')).toBe(await textOf(page, 'speculative'));

    await page.fill('#tools', '[');
    await run(page, { prompt: 'Hello' });
    expect(await page.textContent('#problem')).toMatch(/^The tools are no JSON/);
    await page.check('[name=mode][value=prompt]', { force: true });
    expect(await page.isDisabled('#tools')).toBe(true);
    await page.close();
  });

  it('tells kinds of tokens apart by more than colour', async () => {
    const page = await open();
    const styles = await inPage<string[]>(
      page,
      `[...document.querySelectorAll('.legend .token')].map((token) => {
        const style = getComputedStyle(token);
        return style.textDecorationLine === 'none' ? 'none' : style.textDecorationStyle;
      })`,
    );
    expect(new Set(styles).size).toBe(5);
    await page.close();
  });

  it('keeps a conversation', async () => {
    const page = await open();
    await page.uncheck('#compare');
    await run(page, { prompt: 'Hello', max_new_tokens: '12' });
    await run(page, { prompt: 'And then?' });
    expect(await page.locator('#transcript p').count()).toBe(4);
    expect(await page.locator('#transcript p.user').last().textContent()).toBe('And then?');
    await page.click('#clear');
    expect(await page.locator('#transcript').isVisible()).toBe(false);
    await page.close();
  });

  it('is used with the keyboard alone: Ctrl+Enter runs, Escape stops', async () => {
    const page = await open();
    await page.keyboard.press('Tab');
    expect(await inPage(page, 'document.activeElement.className')).toBe('skip');
    await page.keyboard.press('Enter');
    await page.focus('#max_new_tokens');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('440');
    await page.keyboard.press('Control+Enter');
    await page.waitForSelector('#speculative .token');
    trio.target.signal('SIGSTOP'); // so that the answer cannot end before the key is pressed
    await page.keyboard.press('Escape');
    await page.getByText('Stopped.').waitFor();
    trio.target.signal('SIGCONT');
    expect(await page.locator('.answer .token').count()).toBeLessThan(880);
    await page.close();
  });

  it('says what is wrong in words', async () => {
    const page = await open();
    await run(page, { max_new_tokens: '500' });
    expect(await page.textContent('#problem')).toMatch(/exceed the context/);
    await page.close();
  });

  it.each(['light', 'dark'] as const)('meets WCAG 2.2 AA in %s, before and after an answer', async (colorScheme) => {
    const page = await open();
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const moment of ['before', 'after']) {
      if (moment === 'after') await run(page, { max_new_tokens: '40', draft_k: '4' });
      await page.evaluate(axe.source);
      const violations = await inPage(
        page,
        `axe.run(document, {
          runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
        }).then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]))`,
      );
      expect(violations).toEqual([]);
    }
    await page.close();
  });

  it.each([320, 390, 820])('needs no sideways scrolling at %i pixels', async (width) => {
    const page = await open();
    await page.setViewportSize({ width, height: 800 });
    await run(page, { max_new_tokens: '60', draft_k: '4' });
    const overflow = await inPage(page, 'document.documentElement.scrollWidth - innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
    await page.close();
  });

  it('has a theme of its own choice, remembered', async () => {
    const page = await open();
    await page.click('#theme');
    await page.click('#theme');
    expect(await page.getAttribute('html', 'data-theme')).toBe('dark');
    await page.reload();
    expect(await page.getAttribute('html', 'data-theme')).toBe('dark');
    await page.click('#theme');
    await page.close();
  });

  it('reads the API at /docs', async () => {
    const page = await open('/docs/');
    await page.getByText('Continue a prompt, or answer a chat').first().waitFor({ timeout: 30_000 });
    await page.close();
  });

  it('called nobody else and broke no rule of its policy in all of this', () => {
    // The one message that is meant to be there: the request that could not fit.
    expect(strays.filter((stray) => !/status of 400/.test(stray))).toEqual([]);
  });
});

describe.skipIf(!hasChromium)('the playground of a server with keys', () => {
  it('asks for the key, remembers it for the session, and answers', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'forerunner-keys-'));
    const file = join(directory, 'keys.json');
    const cli = join(root, 'services/speculative-coordinator/src/access/cli.ts');
    const key = execFileSync(process.execPath, [cli, 'add', '--file', file, '--name', 'visitor'], { encoding: 'utf8' });
    const trio = await startTinyTrio({ API_KEYS_FILE: file });
    const browser = await openBrowser();
    try {
      const page = await browser.context.newPage();
      await page.goto(trio.url);
      await page.getByText('This server asks for an API key.').waitFor();
      await page.click('#run');
      await page.getByText('Give your key under “More settings”.').waitFor();
      await page.fill('#key', key.split('\n')[0]!);
      await page.locator('#key').blur();
      await page.getByText(/^Target tiny-target/).waitFor();
      await page.reload();
      await page.fill('#max_new_tokens', '8');
      await page.click('#run');
      await page.getByText(/^Done: /).waitFor();
    } finally {
      await browser.close();
      await trio.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
