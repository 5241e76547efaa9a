/**
 * A repository's files into huggingface_hub's cache, in its layout (blobs by checksum, a snapshot of links for each
 * commit), so that whatever has been fetched by another tool is not fetched again.
 */
import { existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { download } from './download.ts';
import { HubError } from './errors.ts';
import type { HubFile, HubRepository } from './repository.ts';
import type { HubSettings } from './settings.ts';

export interface PullOptions {
  readonly settings: HubSettings;
  /** Bytes that are there, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  readonly firstDelayMs?: number;
}

/** Files at once. */
const PARALLEL = 4;
/** Left free on the disk. */
const RESERVE_BYTES = 200_000_000;

/** The snapshot's folder. Errors: HubError no_space, and those of download. */
export async function pullFiles(repository: HubRepository, files: readonly HubFile[], options: PullOptions) {
  const { settings, onProgress } = options;
  const root = join(settings.cacheDir, `models--${repository.id.replaceAll('/', '--')}`);
  const snapshot = join(root, 'snapshots', repository.commit);
  const blobs = join(root, 'blobs');
  for (const dir of [snapshot, blobs, join(root, 'refs')]) mkdirSync(dir, { recursive: true });
  const missing = files.filter(({ name }) => !existsSync(join(snapshot, name)));
  await requireSpace(blobs, missing);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = total - missing.reduce((sum, { size }) => sum + size, 0);
  const cut = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, cut.signal]) : cut.signal;
  const fetchOne = async (file: HubFile) => {
    const blob = join(blobs, file.checksum.value || file.name.replaceAll('/', '--'));
    const url = `${settings.endpoint}/${repository.id}/resolve/${repository.commit}/${file.name.split('/').map(encodeURIComponent).join('/')}`;
    const onBytes = (count: number) => {
      done += count;
      onProgress?.(done, total);
    };
    if (existsSync(blob)) onBytes(file.size);
    else await download(url, file, blob, { ...options, onBytes, signal });
    linkTo(blob, join(snapshot, file.name));
  };
  const waiting = [...missing];
  const worker = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) await fetchOne(file);
  };
  try {
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  } catch (error) {
    cut.abort(error);
    throw error;
  }
  writeFileSync(join(root, 'refs', repository.revision.replaceAll('/', '--')), repository.commit);
  return snapshot;
}

async function requireSpace(dir: string, files: readonly HubFile[]): Promise<void> {
  const wanted = files.reduce((sum, { size, checksum }) => {
    const part = statSync(join(dir, `${checksum.value}.incomplete`), { throwIfNoEntry: false })?.size ?? 0;
    return sum + size - Math.min(part, size);
  }, 0);
  const { bavail, bsize } = await statfs(dir);
  if (wanted + RESERVE_BYTES <= bavail * bsize) return;
  const [needed, free] = [wanted, bavail * bsize].map((bytes) => `${(bytes / 1e9).toFixed(1)} GB`);
  throw new HubError('no_space', `${needed} are to be fetched to ${dir}, where ${free} are free`);
}

function linkTo(blob: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(relative(dirname(path), blob), path);
}
