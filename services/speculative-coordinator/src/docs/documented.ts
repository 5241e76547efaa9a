/** What a route says of itself beyond its body: shown in the OpenAPI document, never used to check replies. */
import { errorBodySchema } from '@forerunner/protocol';
import { z } from 'zod';

interface Documentation {
  readonly summary: string;
  readonly description?: string;
  readonly tag: 'Generation' | 'OpenAI' | 'Service';
  readonly reply: z.ZodType;
  /** What an event of a streamed reply looks like; absent: there are no streams here. */
  readonly events?: string;
  /** Default: the service's own error body. */
  readonly error?: z.ZodType;
  readonly isOpen?: boolean;
}

const json = (schema: z.ZodType, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});

/** The part of a Fastify route's `schema` that documents it. */
export function documented({ summary, description, tag, reply, events, error, isOpen }: Documentation) {
  const refusal = error ?? errorBodySchema;
  const success = json(reply, 'The answer.');
  const event = z.object({ data: z.string(), event: z.string().optional() }).meta({ description: events });
  const stream = { 'text/event-stream': { schema: event } };
  return {
    summary,
    ...(description !== undefined && { description }),
    tags: [tag],
    ...(isOpen && { security: [] }),
    response: {
      200: events === undefined ? success : { ...success, content: { ...success.content, ...stream } },
      '4xx': json(refusal, 'The request was refused; the message says why.'),
      '5xx': json(refusal, 'The service cannot answer now.'),
    },
  };
}
