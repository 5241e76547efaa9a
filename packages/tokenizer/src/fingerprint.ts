/**
 * A fingerprint of what a tokenizer *does*: its vocabulary, merges, special tokens and text rules, whatever the file's
 * formatting or the order of its keys. Two models fit when their fingerprints are equal; equal widths prove nothing.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Parts of tokenizer.json that decide ids and text; truncation and padding are the caller's business. */
export const RELEVANT = ['added_tokens', 'normalizer', 'pre_tokenizer', 'post_processor', 'decoder', 'model'];

/** SHA-256, hexadecimal, of `modelDir`/tokenizer.json's content. */
export function tokenizerFingerprint(modelDir: string): string {
  return fingerprintOf(JSON.parse(readFileSync(join(modelDir, 'tokenizer.json'), 'utf8')));
}

export function fingerprintOf(tokenizerJson: Record<string, unknown>): string {
  const hash = createHash('sha256');
  for (const part of RELEVANT) hash.update(`${part}=${canonical(tokenizerJson[part] ?? null)}\n`);
  return hash.digest('hex');
}

/** JSON with sorted keys. Merges are written "a b" or ["a", "b"] by different versions: both read the same. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value)
    .map(([key, v]) => [key, key === 'merges' && Array.isArray(v) ? v.map(mergeText) : v] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, v]) => `${JSON.stringify(key)}:${canonical(v)}`).join(',')}}`;
}

const mergeText = (merge: unknown): unknown => (Array.isArray(merge) ? merge.join(' ') : merge);
