/** The playground at /: one page, one style sheet, one script, served as they stand in this folder. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceApp } from '@forerunner/service-kit';

const FILES = {
  '/': { file: 'index.html', type: 'text/html; charset=utf-8' },
  '/playground/style.css': { file: 'style.css', type: 'text/css; charset=utf-8' },
  '/playground/main.js': { file: 'main.js', type: 'text/javascript; charset=utf-8' },
  '/playground/icon.svg': { file: 'icon.svg', type: 'image/svg+xml' },
} as const;

export function registerPlayground(app: ServiceApp): void {
  for (const [url, { file, type }] of Object.entries(FILES)) {
    const content = readFileSync(join(import.meta.dirname, 'page', file));
    const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`;
    app.get(url, { logLevel: 'warn' }, async (request, reply) => {
      reply.header('cache-control', 'no-cache').header('etag', etag);
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type(type).send(content);
    });
  }
}
