/** Keys, limits, origins, headers and TLS, through HTTP. */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { digestOf, generateKey, type KeyEntry } from '../src/access/key-file.ts';
import { type ScriptedTrio, type ScriptedTrioOptions, startScriptedTrio } from './surface/scripted-trio.ts';

let trio: ScriptedTrio;
afterEach(() => trio.stop());

const start = async (options: Partial<ScriptedTrioOptions> = {}) => {
  trio = await startScriptedTrio({ text: 'Hello there, world.', ...options });
};
const keys = { alice: generateKey(), bob: generateKey() };
const entry = (name: keyof typeof keys, more: Partial<KeyEntry> = {}): KeyEntry => ({
  name,
  sha256: digestOf(keys[name]).toString('hex'),
  ...more,
});
const withKeys =
  (...entries: KeyEntry[]) =>
  (directory: string) => {
    const API_KEYS_FILE = join(directory, 'keys.json');
    writeFileSync(API_KEYS_FILE, JSON.stringify({ keys: entries }));
    return { API_KEYS_FILE };
  };
const ask = (path: string, key?: string, body: object = { prompt: 'x', max_new_tokens: 3 }) =>
  fetch(`${trio.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) },
    body: JSON.stringify(body),
  });

describe('API keys', () => {
  it('are not needed where there is no file of them', async () => {
    await start();
    expect((await ask('/generate')).status).toBe(200);
  });

  it('open every route of work, and nothing but health and pages opens without one', async () => {
    await start({ prepare: withKeys(entry('alice')) });
    expect((await ask('/generate', keys.alice)).status).toBe(200);
    for (const key of [undefined, 'fr_wrong', keys.bob]) {
      const reply = await ask('/generate', key);
      expect(reply.status).toBe(401);
      expect(reply.headers.get('www-authenticate')).toBe('Bearer');
      expect(((await reply.json()) as { error: object }).error).toMatchObject({ code: 'unauthorized' });
    }
    for (const path of ['/v1/model', '/v1/models']) expect((await fetch(trio.url + path)).status).toBe(401);
    for (const path of ['/tokenize', '/detokenize', '/v1/responses']) {
      expect((await ask(path, undefined)).status, path).toBe(401);
    }
    for (const path of ['/healthz', '/readyz', '/health', '/version', '/', '/openapi.json', '/metrics']) {
      expect((await fetch(trio.url + path)).status, path).toBe(200);
    }
  });

  it("are refused in OpenAI's shape on OpenAI's routes", async () => {
    await start({ prepare: withKeys(entry('alice')) });
    const reply = await ask('/v1/completions', 'fr_wrong', { prompt: 'x' });
    expect(reply.status).toBe(401);
    expect(await reply.json()).toEqual({
      error: { message: expect.any(String), type: 'authentication_error', param: null, code: 'invalid_api_key' },
    });
  });

  it('are revoked and added without a restart; a broken file changes nothing', async () => {
    await start({ prepare: withKeys(entry('alice')) });
    const file = join(trio.directory, 'keys.json');
    writeFileSync(file, '{ "keys": [');
    await sleep(1100);
    expect((await ask('/generate', keys.alice)).status).toBe(200);
    writeFileSync(file, JSON.stringify({ keys: [entry('bob')] }));
    await sleep(1100);
    expect((await ask('/generate', keys.bob)).status).toBe(200);
    expect((await ask('/generate', keys.alice)).status).toBe(401);
  });

  it('have rates of their own, and say when to come back', async () => {
    await start({ prepare: withKeys(entry('alice', { requests_per_minute: 2 }), entry('bob')) });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await ask('/generate', keys.alice)).status);
    expect(statuses).toEqual([200, 200, 429]);
    const reply = await ask('/v1/completions', keys.alice, { prompt: 'x' });
    expect(reply.status).toBe(429);
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(1);
    expect(((await reply.json()) as { error: object }).error).toMatchObject({
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
    });
    expect((await ask('/generate', keys.bob)).status).toBe(200);
  });

  it('have their number of requests at once and no more, and get their place back', async () => {
    await start({ prepare: withKeys(entry('alice', { max_concurrent: 2 })) });
    trio.target.before = () => sleep(100);
    const replies = await Promise.all([1, 2, 3].map(() => ask('/generate', keys.alice)));
    expect(replies.map((reply) => reply.status).sort()).toEqual([200, 200, 429]);
    await Promise.all(replies.map((reply) => reply.text()));
    expect((await ask('/generate', keys.alice)).status).toBe(200);
  });

  it('never share cached prefixes unless they name the same scope', async () => {
    await start({ prepare: withKeys(entry('alice'), entry('bob')) });
    await ask('/generate', keys.alice);
    await ask('/generate', keys.bob);
    expect([...trio.target.scopes].sort()).toEqual(['key:alice', 'key:bob']);
    expect(trio.draft.scopes).toEqual(trio.target.scopes);
    await trio.stop();
    await start({ prepare: withKeys(entry('alice', { cache_scope: 'team' }), entry('bob', { cache_scope: 'team' })) });
    await ask('/generate', keys.alice);
    await ask('/generate', keys.bob);
    expect([...trio.target.scopes]).toEqual(['scope:team']);
  });

  it('are counted, too, when their client leaves', async () => {
    await start({ prepare: withKeys(entry('alice')) });
    trio.target.before = () => new Promise((resolve) => setTimeout(resolve, 100));
    const left = new AbortController();
    setTimeout(() => left.abort(), 50);
    const reply = fetch(`${trio.url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${keys.alice}` },
      body: JSON.stringify({ prompt: 'x' }),
      signal: left.signal,
    });
    await expect(reply).rejects.toThrow();
    await vi.waitFor(async () =>
      expect(await trio.metrics()).toMatch(/forerunner_key_requests_total\{key="alice",outcome="cancelled".*\} 1/),
    );
  });

  it('are counted by name in the metrics, strangers not at all', async () => {
    await start({ prepare: withKeys(entry('alice')) });
    await ask('/generate', keys.alice);
    await ask('/generate', 'fr_somebody');
    const text = await trio.metrics();
    expect(text).toMatch(/forerunner_key_requests_total\{key="alice",outcome="ok".*\} 1/);
    expect(text).toMatch(/forerunner_key_tokens_total\{key="alice",kind="completion".*\} 3/);
    expect(text.match(/^forerunner_key_requests_total\{/gm)).toHaveLength(1);
    expect(text).not.toContain('fr_');
  });
});

describe('limits without keys', () => {
  it('count by address', async () => {
    await start({ env: { RATE_LIMIT_PER_MINUTE: '1' } });
    expect((await ask('/generate')).status).toBe(200);
    expect((await ask('/generate')).status).toBe(429);
    expect((await fetch(`${trio.url}/healthz`)).status).toBe(200);
  });

  it('refuse a body over the limit before reading it', async () => {
    await start({ env: { MAX_BODY_BYTES: '2048' } });
    const reply = await ask('/v1/completions', undefined, { prompt: 'x'.repeat(5000) });
    expect(reply.status).toBe(413);
    expect(((await reply.json()) as { error: object }).error).toMatchObject({ code: 'payload_too_large', param: null });
  });
});

describe('/metrics', () => {
  it('demands its token when there is one', async () => {
    await start({ env: { METRICS_TOKEN: 'scrape-me' } });
    const scrape = (token?: string) =>
      fetch(`${trio.url}/metrics`, token ? { headers: { authorization: `Bearer ${token}` } } : {});
    expect([(await scrape()).status, (await scrape('no')).status, (await scrape('scrape-me')).status]).toEqual([
      401, 401, 200,
    ]);
  });
});

describe('headers', () => {
  it('tell browsers to be strict', async () => {
    await start();
    const { headers } = await ask('/generate');
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none'/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('strict-transport-security')).toBeNull(); // no TLS, no promise
  });

  it('stand on streams, too', async () => {
    await start();
    const reply = await ask('/generate', undefined, { prompt: 'x', max_new_tokens: 3, stream: true });
    expect(reply.headers.get('x-content-type-options')).toBe('nosniff');
    expect(reply.headers.get('x-request-id')).toBeTruthy();
    await reply.text();
  });
});

describe('other origins', () => {
  const preflight = (origin: string) =>
    fetch(`${trio.url}/generate`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    });

  it('may not call from a browser unless they are named', async () => {
    await start();
    expect((await preflight('https://app.example')).headers.get('access-control-allow-origin')).toBeNull();
  });

  it('may when they are, and only they, keys or not', async () => {
    await start({ env: { CORS_ORIGINS: 'https://app.example' }, prepare: withKeys(entry('alice')) });
    const good = await preflight('https://app.example');
    expect(good.status).toBe(204);
    expect(good.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).not.toBe(
      'https://evil.example',
    );
  });
});

describe('TLS', () => {
  it('is spoken when there are a certificate and its key', async () => {
    await start({
      prepare: (directory) => {
        const files = { TLS_CERT_FILE: join(directory, 'cert.pem'), TLS_KEY_FILE: join(directory, 'key.pem') };
        execFileSync(
          'openssl',
          [
            ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
            ...['-subj', '/CN=localhost', '-keyout', files.TLS_KEY_FILE, '-out', files.TLS_CERT_FILE],
          ],
          { stdio: 'ignore' },
        );
        return files;
      },
    });
    expect(trio.url).toMatch(/^https:/);
    const ca = readFileSync(join(trio.directory, 'cert.pem'));
    const reply = await new Promise<{ status: number | undefined; hsts: unknown }>((resolve, reject) => {
      httpsRequest(
        `${trio.url}/healthz`,
        { ca, servername: 'localhost', checkServerIdentity: () => undefined },
        (r) => {
          r.resume();
          resolve({ status: r.statusCode, hsts: r.headers['strict-transport-security'] });
        },
      )
        .on('error', reject)
        .end();
    });
    expect(reply.status).toBe(200);
    expect(reply.hsts).toMatch(/max-age/);
  });
});

describe('the command that makes keys', () => {
  it('adds, lists and revokes, and keeps digests only, readable by the owner only', async () => {
    await start();
    const file = join(trio.directory, 'made.json');
    const cli = (...args: string[]) =>
      execFileSync(
        process.execPath,
        [fileURLToPath(new URL('../src/access/cli.ts', import.meta.url)), ...args, '--file', file],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
      );
    const key = cli('add', '--name', 'carol', '--requests-per-minute', '60').split('\n')[0]!;
    expect(key).toMatch(/^fr_[\w-]{43}$/);
    const text = readFileSync(file, 'utf8');
    expect(text).not.toContain(key);
    expect(text).toContain(digestOf(key).toString('hex'));
    expect(statSync(file).mode & 0o077).toBe(0);
    expect(cli('list')).toMatch(/^carol\t.*60\/min/);
    expect(() => cli('add', '--name', 'carol')).toThrow(/already/);
    expect(() => cli('add', '--name', 'a b')).toThrow(/name/);
    cli('revoke', '--name', 'carol');
    expect(cli('list')).toBe('no keys\n');
  });
});
