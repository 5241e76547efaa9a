/**
 * The file of API keys: what it holds, and how a key becomes what is kept of it. A key is 256 random bits, so one pass of
 * SHA-256 keeps it safe at rest: there is no dictionary to try. (scrypt and its kin slow down the guessing of passwords;
 * here they would only let strangers burn this server's time with wrong keys.)
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { parseOrThrow } from '@forerunner/protocol';
import { z } from 'zod';

const MAX_KEYS = 1000;

export const keyEntrySchema = z.strictObject({
  /** Stands in logs and as a metric label. */
  name: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ . -'),
  /** Of the whole key, hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
  created: z.string().optional(),
  /** Absent: the server's RATE_LIMIT_PER_MINUTE. 0: no limit. */
  requests_per_minute: z.int().min(0).optional(),
  /** Requests at the same time. Absent: the server's MAX_CONCURRENT_PER_KEY. 0: no limit. */
  max_concurrent: z.int().min(0).optional(),
  /** Keys of the same scope may share cached prefixes. Absent: this key shares with nobody. */
  cache_scope: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/)
    .optional(),
});
export type KeyEntry = z.output<typeof keyEntrySchema>;

const keyFileSchema = z
  .strictObject({ keys: z.array(keyEntrySchema).max(MAX_KEYS) })
  .refine(({ keys }) => new Set(keys.map((key) => key.name)).size === keys.length, 'two keys have the same name');

/** A new key: shown once, never stored. */
export function generateKey(): string {
  return `fr_${randomBytes(32).toString('base64url')}`;
}

export function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** Errors: those of reading; ServiceError that says what is wrong in the file. */
export function readKeyFile(path: string): KeyEntry[] {
  return parseOrThrow(keyFileSchema, JSON.parse(readFileSync(path, 'utf8'))).keys;
}

/** Replaces the file in one step, readable by its owner only. */
export function writeKeyFile(path: string, keys: readonly KeyEntry[]): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify({ keys }, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}
