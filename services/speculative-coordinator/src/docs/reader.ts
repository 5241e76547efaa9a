/** A reader for the OpenAPI document at /docs. Its script comes from this server, and the page may call nobody else. */
import { randomBytes } from 'node:crypto';
import type { ServiceApp } from '@forerunner/service-kit';
import reader from '@scalar/fastify-api-reference';
import type { FastifyTypeProviderDefault } from 'fastify';

export async function installReader(serviceApp: ServiceApp): Promise<void> {
  const app = serviceApp.withTypeProvider<FastifyTypeProviderDefault>();
  // The page is the same for everybody and holds nothing of anybody's: one nonce per process is enough.
  const nonce = randomBytes(16).toString('base64');
  const policy = [
    "default-src 'none'",
    `script-src 'self' 'nonce-${nonce}'`,
    "style-src 'self' 'unsafe-inline'", // the reader writes its own styles
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  await app.register(reader, {
    routePrefix: '/docs',
    logLevel: 'warn',
    configuration: {
      url: '/openapi.json',
      pageTitle: 'Forerunner API',
      nonce,
      withDefaultFonts: false,
      telemetry: false,
      orderSchemaPropertiesBy: 'preserve',
      hideClientButton: true,
      showDeveloperTools: 'never',
      agent: { disabled: true },
      mcp: { disabled: true },
    },
    hooks: {
      onRequest: (_request, reply, done) => {
        reply.header('content-security-policy', policy);
        done();
      },
    },
  });
}
