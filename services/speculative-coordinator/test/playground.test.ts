/** The playground's files as they are served. What they do is tested in a browser, in e2e. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ScriptedTrio, startScriptedTrio } from './surface/scripted-trio.ts';

let trio: ScriptedTrio;
beforeAll(async () => {
  trio = await startScriptedTrio({ text: 'Hello.' });
});
afterAll(() => trio.stop());

describe('the playground', () => {
  it('is a page whose every file comes from here', async () => {
    const page = await fetch(trio.url);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const html = await page.text();
    const links = [...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map((match) => match[1]!);
    expect(links.length).toBeGreaterThan(3);
    for (const link of links.filter((link) => link !== '/docs/')) {
      expect(link).toMatch(/^\//);
      expect((await fetch(trio.url + link)).status, link).toBe(200);
    }
  });

  it('allows no script or style of any other place, nor in the page itself', async () => {
    const page = await fetch(trio.url);
    const policy = page.headers.get('content-security-policy')!;
    expect(policy).toMatch(/default-src 'none'/);
    expect(policy).not.toMatch(/unsafe/);
    expect(await page.text()).not.toMatch(/<style|<script(?![^>]*src)| style="| on\w+="/);
  });

  it('is not sent again while it has not changed', async () => {
    const first = await fetch(`${trio.url}/playground/main.js`);
    expect(first.headers.get('content-type')).toMatch(/javascript/);
    await first.text();
    const again = await fetch(`${trio.url}/playground/main.js`, {
      headers: { 'if-none-match': first.headers.get('etag')! },
    });
    expect(again.status).toBe(304);
  });

  it('has no other files to give', async () => {
    for (const path of ['/playground/routes.ts', '/playground/../app.ts', '/playground/%2e%2e/routes.ts']) {
      expect((await fetch(trio.url + path)).status).toBe(404);
    }
  });
});
