/** Fields that are there for the sake of clients that send them. */
import { z } from 'zod';

/** A field that may only hold what changes nothing. Clients that always send it keep working. */
export function onlyDefault(name: string, defaults: readonly unknown[]) {
  const allowed = [null, ...defaults];
  const isDefault = (value: unknown) => allowed.some((one) => JSON.stringify(one) === JSON.stringify(value));
  const list = allowed.map((value) => JSON.stringify(value)).join(' or ');
  return z
    .unknown()
    .refine((value) => value === undefined || isDefault(value), {
      error: `${name} is not supported here; leave it out${defaults.length > 0 ? `, or give ${list}` : ''}`,
    })
    .optional()
    .meta({ description: `Not supported: only ${list}.`, enum: allowed });
}

const taken = (schema: z.ZodType, meaning: string) => schema.nullish().describe(`Taken, without effect: ${meaning}`);

/** Fields of OpenAI's that have nothing to act on here. The documentation says of each why. */
export const takenFields = {
  user: taken(z.string().max(512), 'neither used nor kept.'),
  safety_identifier: taken(z.string().max(512), 'neither used nor kept.'),
  prompt_cache_key: taken(z.string().max(512), 'prompts that begin alike find each other by themselves.'),
  prompt_cache_retention: taken(z.enum(['in-memory', 'in_memory', '24h']), 'prefixes stay until memory is wanted.'),
  service_tier: taken(z.string().max(64), 'all requests are served alike.'),
  store: taken(z.boolean(), 'nothing is stored.'),
  metadata: taken(z.record(z.string().max(64), z.string().max(512)), 'belongs to what is stored, and nothing is.'),
};
/** Those of chats and responses. */
export const takenChatFields = {
  verbosity: taken(z.enum(['low', 'medium', 'high']), 'ask for it in a message.'),
};
