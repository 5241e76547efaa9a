/** Ranges of files, read on demand. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { ImportError } from '../errors.ts';

export class RangeFile {
  readonly path: string;
  readonly size: number;
  readonly #file: number;

  /** Errors: those of the file system. */
  constructor(path: string) {
    this.path = path;
    this.#file = openSync(path, 'r');
    this.size = fstatSync(this.#file).size;
  }

  /** A buffer of its own. Errors: ImportError bad_checkpoint when the file is shorter. */
  read(offset: number, length: number): Buffer {
    if (!Number.isSafeInteger(offset + length) || offset < 0 || length < 0 || offset + length > this.size) {
      const message = `${basename(this.path)} has ${this.size} bytes and names bytes ${offset} to ${offset + length}: it is cut off or damaged`;
      throw new ImportError('bad_checkpoint', message);
    }
    const bytes = Buffer.allocUnsafeSlow(length);
    for (let done = 0; done < length; ) {
      const numRead = readSync(this.#file, bytes, done, length - done, offset + done);
      if (numRead === 0) throw new ImportError('bad_checkpoint', `${basename(this.path)} became shorter`);
      done += numRead;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#file);
  }
}
