/** The playground at /: a page, a style sheet, a few scripts, served as they stand in page/. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceApp } from '@forerunner/service-kit';

const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
} as const;

const PAGE_DIR = join(import.meta.dirname, 'page');

export function registerPlayground(app: ServiceApp): void {
  for (const file of readdirSync(PAGE_DIR)) {
    const type = TYPES[file.split('.').at(-1) as keyof typeof TYPES];
    const url = file === 'index.html' ? '/' : `/playground/${file}`;
    const content = readFileSync(join(PAGE_DIR, file));
    for (const path of file === 'icon.svg' ? [url, '/favicon.ico'] : [url]) register(path, content, type);
  }

  function register(url: string, content: Buffer, type: string): void {
    const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`;
    app.get(url, { logLevel: 'warn' }, async (request, reply) => {
      reply.header('cache-control', 'no-cache').header('etag', etag);
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type(type).send(content);
    });
  }
}
