/** The OpenAPI document and its reader. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ScriptedTrio, startScriptedTrio } from './surface/scripted-trio.ts';

let trio: ScriptedTrio;
// biome-ignore lint/suspicious/noExplicitAny: a JSON document, looked into here and there
let document: any;

beforeAll(async () => {
  trio = await startScriptedTrio({ text: 'Hello.' });
  document = await (await fetch(`${trio.url}/openapi.json`)).json();
});
afterAll(() => trio.stop());

const bodyOf = (path: string) => document.paths[path].post.requestBody.content['application/json'].schema;

describe('the OpenAPI document', () => {
  it('has every public route and nothing else', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths).sort()).toEqual([
      '/detokenize',
      '/generate',
      '/health',
      '/healthz',
      '/metrics',
      '/readyz',
      '/tokenize',
      '/v1/chat/completions',
      '/v1/completions',
      '/v1/model',
      '/v1/models',
      '/v1/models/{model}',
      '/v1/responses',
      '/version',
    ]);
  });

  it('says of bodies what the routes check', () => {
    const generate = bodyOf('/generate');
    expect(generate.additionalProperties).toBe(false);
    expect(generate.properties.max_new_tokens).toMatchObject({ minimum: 1, default: 50 });
    expect(generate.properties.top_p).toMatchObject({ minimum: 0, maximum: 1 });
    expect(bodyOf('/v1/chat/completions').required).toEqual(['messages']);
    expect(bodyOf('/v1/chat/completions').properties.messages.items.properties.role.enum).toContain('developer');
    expect(bodyOf('/v1/completions').properties.forerunner).toBeDefined();
    expect(bodyOf('/v1/responses').required).toEqual(['input']);
    expect(bodyOf('/v1/responses').properties.input.anyOf[1].items.oneOf[0].properties.role.enum).toContain(
      'developer',
    );
  });

  it('describes every field of every body', () => {
    const undescribed = ['/generate', '/v1/chat/completions', '/v1/completions'].flatMap((path) =>
      Object.entries(bodyOf(path).properties)
        .filter(([, schema]) => (schema as { description?: string }).description === undefined)
        .map(([name]) => `${path} ${name}`),
    );
    expect(undescribed).toEqual([]);
  });

  it('has an example for every body, which works', async () => {
    for (const path of ['/generate', '/v1/chat/completions', '/v1/completions']) {
      const { example } = document.paths[path].post.requestBody.content['application/json'];
      const reply = await fetch(trio.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(example),
      });
      expect(reply.status, path).toBe(200);
    }
  });

  it('names replies, streams and errors of every route of work', () => {
    for (const path of ['/generate', '/v1/chat/completions', '/v1/completions']) {
      const { responses } = document.paths[path].post;
      expect(Object.keys(responses)).toEqual(['200', '4XX', '5XX']);
      expect(Object.keys(responses['200'].content)).toEqual(['application/json', 'text/event-stream']);
    }
    const error = (path: string) =>
      document.paths[path].post.responses['4XX'].content['application/json'].schema.properties.error.required;
    expect(error('/generate')).toEqual(['code', 'message', 'request_id']);
    expect(error('/v1/completions')).toEqual(['message', 'type', 'param', 'code']);
  });
});

describe('the reader at /docs', () => {
  it('is served from here, whole, with a policy that lets it call nobody else', async () => {
    const page = await fetch(`${trio.url}/docs/`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toMatch(/connect-src 'self';/);
    const html = await page.text();
    expect(html).not.toMatch(/(src|href)="https?:/);
    const script = /<script[^>]* src="([^"]+)"/.exec(html)?.[1];
    const file = await fetch(new URL(script!, `${trio.url}/docs/`));
    expect(file.status).toBe(200);
    expect(file.headers.get('content-type')).toMatch(/javascript/);
  });
});
