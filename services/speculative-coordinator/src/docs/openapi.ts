/** The OpenAPI document, made from the zod schemas that the routes check with, and served at /openapi.json. */
import swagger from '@fastify/swagger';
import type { ServiceApp } from '@forerunner/service-kit';
import type { FastifyTypeProviderDefault } from 'fastify';
import { z } from 'zod';
import { VERSION } from '../version.ts';
import { operationalPaths } from './operational-paths.ts';

const DESCRIPTION = `Lossless speculative decoding: a small draft model guesses, the large target model checks, and
the answer is exactly what the target alone would have said.

\`POST /generate\` is the service's own route. The routes under \`/v1\` are OpenAI's: point any of its clients here.`;

/** Before any route is registered: the plugin looks at routes as they come. */
export async function installOpenApi(serviceApp: ServiceApp): Promise<void> {
  const app = serviceApp.withTypeProvider<FastifyTypeProviderDefault>();
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Forerunner', version: VERSION, description: DESCRIPTION, license: { name: 'Apache-2.0' } },
      tags: [
        { name: 'Generation', description: "The service's own route." },
        { name: 'OpenAI', description: 'The OpenAI-compatible routes.' },
        { name: 'Service', description: 'Health, metrics, model cards.' },
      ],
      components: {
        securitySchemes: {
          key: { type: 'http', scheme: 'bearer', description: 'An API key, where the server has keys.' },
        },
      },
      security: [{}, { key: [] }],
      paths: operationalPaths,
    },
    hideUntagged: true,
    transform: ({ schema, url }) => ({ schema: toJsonSchemas((schema ?? {}) as RouteSchema), url }),
  });
  app.get('/openapi.json', { logLevel: 'warn' }, async () => app.swagger());
}

type RouteSchema = Record<string, unknown>;

/** Every zod schema in a route's schema as JSON Schema: requests as they may be sent, replies as they are. */
function toJsonSchemas(schema: RouteSchema): RouteSchema {
  return Object.fromEntries(
    Object.entries(schema).map(([part, value]) => [part, convert(value, part === 'response' ? 'output' : 'input')]),
  );
}

function convert(value: unknown, io: 'input' | 'output'): unknown {
  if (value instanceof z.ZodType) {
    const { $schema: _, ...jsonSchema } = z.toJSONSchema(value, {
      io,
      unrepresentable: 'any',
      override: finish,
    });
    return jsonSchema;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, convert(inner, io)]));
}

interface Conversion {
  readonly zodSchema: z.core.$ZodTypes;
  readonly jsonSchema: z.core.JSONSchema.BaseSchema;
}

function finish({ zodSchema, jsonSchema }: Conversion): void {
  // zod's whole numbers are bounded by what a double can count; as documentation that is noise.
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  // zod takes examples for outputs and drops them from inputs that are transformed; ours are inputs.
  const examples = z.globalRegistry.get(zodSchema)?.examples;
  if (Array.isArray(examples)) jsonSchema.examples = examples;
}
