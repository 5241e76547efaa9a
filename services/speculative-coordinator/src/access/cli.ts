/**
 * Makes and revokes API keys:
 *   forerunner key add    --file keys.json --name alice [limits]
 *   forerunner key list   --file keys.json
 *   forerunner key revoke --file keys.json --name alice
 * Limits: --requests-per-minute N, --max-concurrent N, --cache-scope NAME. A running server notices within a second.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parseOrThrow, ServiceError } from '@forerunner/protocol';
import { digestOf, generateKey, type KeyEntry, keyEntrySchema, readKeyFile, writeKeyFile } from './key-file.ts';

const USAGE =
  'usage: forerunner key add|list|revoke --file FILE [--name NAME] [--requests-per-minute N] [--max-concurrent N] [--cache-scope NAME]';

try {
  console.log(run(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof ServiceError || error instanceof Error ? error.message : String(error));
  process.exit(1);
}

function run(args: string[]): string {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      file: { type: 'string' },
      name: { type: 'string' },
      'requests-per-minute': { type: 'string' },
      'max-concurrent': { type: 'string' },
      'cache-scope': { type: 'string' },
    },
  });
  const { file, name } = values;
  if (file === undefined) throw new Error(USAGE);
  const keys = existsSync(file) ? readKeyFile(file) : [];
  switch (positionals[0]) {
    case 'list':
      return keys.map(describe).join('\n') || 'no keys';
    case 'add': {
      if (keys.some((key) => key.name === name)) throw new Error(`there is a key named "${name}" already`);
      const key = generateKey();
      const entry = parseOrThrow(keyEntrySchema, {
        name,
        sha256: digestOf(key).toString('hex'),
        created: new Date().toISOString(),
        ...numberOption('requests_per_minute', values['requests-per-minute']),
        ...numberOption('max_concurrent', values['max-concurrent']),
        ...(values['cache-scope'] !== undefined && { cache_scope: values['cache-scope'] }),
      });
      writeKeyFile(file, [...keys, entry]);
      return `${key}\n\nThis is the key of "${entry.name}". It is shown this once; ${file} holds its digest only.`;
    }
    case 'revoke': {
      if (!keys.some((key) => key.name === name)) throw new Error(`there is no key named "${name}"`);
      const left = keys.filter((key) => key.name !== name);
      writeKeyFile(file, left);
      return `"${name}" is revoked; ${left.length} keys are left`;
    }
    default:
      throw new Error(USAGE);
  }
}

function numberOption(field: string, value: string | undefined): Record<string, number> {
  return value === undefined ? {} : { [field]: Number(value) };
}

function describe({ name, created, requests_per_minute, max_concurrent, cache_scope }: KeyEntry): string {
  const limits = [
    requests_per_minute !== undefined && `${requests_per_minute}/min`,
    max_concurrent !== undefined && `${max_concurrent} at once`,
    cache_scope !== undefined && `cache scope ${cache_scope}`,
  ].filter(Boolean);
  return [name, created ?? '', limits.join(', ')].join('\t').trimEnd();
}
