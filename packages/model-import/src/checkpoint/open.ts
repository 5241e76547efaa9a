/** A path → a checkpoint, by what lies there. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ImportError } from '../errors.ts';
import { openGguf } from '../gguf/checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import { openSafetensors } from './safetensors.ts';

/** A folder with config.json and safetensors, a .gguf file, or a folder with one such file. Errors: ImportError. */
export function openCheckpoint(path: string): Checkpoint {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) throw new ImportError('no_checkpoint', `there is no ${path}`);
  if (!stats.isDirectory()) return openGguf(path);
  if (existsSync(join(path, 'config.json'))) return openSafetensors(path);
  const ggufs = readdirSync(path).filter((name) => name.endsWith('.gguf'));
  if (ggufs.length === 1) return openGguf(join(path, ggufs[0]!));
  const what = ggufs.length === 0 ? 'neither config.json nor a .gguf file' : `${ggufs.length} .gguf files: name one`;
  throw new ImportError('no_checkpoint', `${path} has ${what}`);
}
