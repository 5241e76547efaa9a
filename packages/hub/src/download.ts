/**
 * One file, into place when it is whole: what an earlier attempt left is gone on with, a cut connection is taken up again,
 * size and checksum are held against what the hub promised.
 */
import { createHash } from 'node:crypto';
import { createReadStream, renameSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { HubError } from './errors.ts';
import type { HubFile } from './repository.ts';
import { request } from './request.ts';
import type { HubSettings } from './settings.ts';

export interface DownloadOptions {
  readonly settings: HubSettings;
  /** Hears of every piece; negative when bytes turned out to be worthless. */
  readonly onBytes: (count: number) => void;
  readonly signal?: AbortSignal;
  readonly firstDelayMs?: number;
}

/** Attempts in a row that brought nothing. */
const MAX_FRUITLESS = 5;
/** A connection that is silent for longer is given up. */
const SILENCE_MS = 60_000;

/** Errors: HubError damaged | unreachable | not_found | not_allowed, those of the file system. */
export async function download(url: string, file: HubFile, path: string, options: DownloadOptions): Promise<void> {
  const part = `${path}.incomplete`;
  for (let isSecondTime = false; ; isSecondTime = true) {
    await fetchAll(url, file, part, options);
    if ((await checksumOf(part, file)) === file.checksum.value || file.checksum.value === '') break;
    rmSync(part);
    options.onBytes(-file.size);
    if (isSecondTime)
      throw new HubError('damaged', `${file.name} is not what the hub says it is (${file.checksum.kind})`);
  }
  renameSync(part, path);
}

async function fetchAll(url: string, file: HubFile, part: string, options: DownloadOptions): Promise<void> {
  const held = statSync(part, { throwIfNoEntry: false })?.size ?? 0;
  if (held > file.size) rmSync(part);
  let done = held > file.size ? 0 : held;
  options.onBytes(done);
  const target = await open(part, done === 0 ? 'w' : 'r+');
  try {
    for (let fruitless = 0; done < file.size; ) {
      const before = done;
      const problem = await fetchSome(url, file, target, done, options, (now) => {
        options.onBytes(now - done);
        done = now;
      });
      fruitless = done > before ? 0 : fruitless + 1;
      if (fruitless === MAX_FRUITLESS) {
        throw new HubError('unreachable', `${file.name}: ${problem}, with ${done} of ${file.size} bytes there`);
      }
      if (done < file.size) await sleep((options.firstDelayMs ?? 1_000) * 2 ** fruitless, undefined, options);
    }
    await target.sync();
  } finally {
    await target.close();
  }
}

/** From `start` until the end or until it breaks off; says how it ended. */
async function fetchSome(
  url: string,
  file: HubFile,
  target: FileHandle,
  start: number,
  { settings, signal, firstDelayMs }: DownloadOptions,
  reached: (position: number) => void,
): Promise<string> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`silent for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  try {
    const response = await request(url, settings, {
      what: file.name,
      headers: { 'accept-encoding': 'identity', ...(start > 0 && { range: `bytes=${start}-` }) },
      signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
      ...(firstDelayMs !== undefined && { firstDelayMs }),
    });
    let position = response.status === 206 ? start : 0; // who knows no ranges begins again
    reached(position);
    for await (const piece of response.body ?? []) {
      timer.refresh();
      if (position + piece.length > file.size) return `the server sends more than ${file.size} bytes`;
      await target.write(piece, 0, piece.length, position);
      position += piece.length;
      reached(position);
    }
    return 'the connection ended early';
  } catch (error) {
    if (error instanceof HubError || signal?.aborted) throw error;
    return (error as Error).message;
  } finally {
    clearTimeout(timer);
  }
}

async function checksumOf(path: string, { checksum, size }: HubFile): Promise<string> {
  const hash = createHash(checksum.kind === 'sha256' ? 'sha256' : 'sha1');
  if (checksum.kind === 'git-blob') hash.update(`blob ${size}\0`);
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(piece as Buffer);
  return hash.digest('hex');
}
