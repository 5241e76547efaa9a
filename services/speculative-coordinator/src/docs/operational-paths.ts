/** The routes that every service has, which the shell registers before there is a document to be in. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { errorBodySchema } from '@forerunner/protocol';
import { z } from 'zod';

type Paths = NonNullable<NonNullable<FastifyDynamicSwaggerOptions['openapi']>['paths']>;

const { $schema: _, ...errorBody } = z.toJSONSchema(errorBodySchema);
const json = (schema: object, description: string) => ({ description, content: { 'application/json': { schema } } });
const status = { type: 'object', properties: { status: { type: 'string' } }, required: ['status'] };
const refused = json(errorBody, 'The request was refused; the message says why.');

export const operationalPaths: Paths = {
  '/healthz': {
    get: {
      summary: 'Is the process alive?',
      tags: ['Service'],
      security: [],
      responses: { 200: json(status, 'It is.'), '4XX': refused },
    },
  },
  '/readyz': {
    get: {
      summary: 'Can it answer?',
      tags: ['Service'],
      security: [],
      responses: {
        200: json(status, 'A target answers.'),
        503: json(errorBody, 'What is missing.'),
        '4XX': refused,
      },
    },
  },
  '/metrics': {
    get: {
      summary: 'Prometheus metrics',
      tags: ['Service'],
      responses: {
        200: { description: 'Text format.', content: { 'text/plain': { schema: { type: 'string' } } } },
        '4XX': refused,
      },
    },
  },
};
