/** Bytes of a model's files. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export function sizeOf(dir: string): number {
  const entries = readdirSync(dir, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  return entries.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
