/** STRICT_REQUESTS=false: fields that no schema knows are taken out of a request and logged by name, instead of refused. */
import type { Logger } from '@forerunner/service-kit';
import { zodValidatorCompiler } from '@forerunner/service-kit';
import type { FastifySchemaCompiler } from 'fastify';
import type { z } from 'zod';

const MAX_LOGGED = 10;

export function lenientValidatorCompiler(logger: Pick<Logger, 'info'>): FastifySchemaCompiler<z.ZodType> {
  return (route) => {
    const validate = zodValidatorCompiler(route);
    return (data) => {
      const unknown = removeUnknownFields(route.schema, data);
      if (unknown.length > 0) {
        const fields = unknown.slice(0, MAX_LOGGED).map((field) => field.slice(0, 100));
        logger.info(
          { route: route.url, fields, num_fields: unknown.length },
          'unknown fields of a request were ignored',
        );
      }
      return validate(data);
    };
  };
}

/** Takes out of `data` what the schema calls unrecognized, and says what that was. What else is wrong stays. */
function removeUnknownFields(schema: z.ZodType, data: unknown): string[] {
  const issues = schema.safeParse(data).error?.issues ?? [];
  return issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return [];
    const owner = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)[key], data);
    for (const key of issue.keys) delete (owner as Record<string, unknown>)[key];
    return issue.keys.map((key) => [...issue.path, key].join('.'));
  });
}
