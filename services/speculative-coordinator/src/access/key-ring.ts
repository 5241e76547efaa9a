/** The keys in force. The file is read again when it changes, so that a key can be revoked without a restart. */
import { timingSafeEqual } from 'node:crypto';
import { statSync } from 'node:fs';
import type { Logger } from '@forerunner/service-kit';
import { digestOf, type KeyEntry, readKeyFile } from './key-file.ts';

const CHECK_INTERVAL_MS = 1000;

interface HeldKey {
  readonly entry: KeyEntry;
  readonly digest: Buffer;
}

export class KeyRing {
  readonly #path: string;
  readonly #logger: Logger;
  #keys: readonly HeldKey[] = [];
  #version = '';
  #checkedMs = 0;

  /** Errors: those of `readKeyFile`. */
  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
    this.#load();
  }

  /** The entry of a key that was presented; null for one that is not known. Takes the same time for every key. */
  find(key: string): KeyEntry | null {
    this.#refresh();
    const digest = digestOf(key);
    let found: KeyEntry | null = null;
    for (const held of this.#keys) if (timingSafeEqual(held.digest, digest)) found = held.entry;
    return found;
  }

  #refresh(): void {
    const now = performance.now();
    if (now - this.#checkedMs < CHECK_INTERVAL_MS) return;
    this.#checkedMs = now;
    try {
      if (versionOf(this.#path) !== this.#version) this.#load();
    } catch (error) {
      // A file that is being edited must not lock everybody out: the keys last read stay in force.
      this.#logger.error({ err: error }, 'API_KEYS_FILE cannot be read; the last keys stay in force');
    }
  }

  #load(): void {
    const version = versionOf(this.#path);
    this.#keys = readKeyFile(this.#path).map((entry) => ({ entry, digest: Buffer.from(entry.sha256, 'hex') }));
    this.#version = version;
    this.#checkedMs = performance.now();
    this.#logger.info({ keys: this.#keys.length }, 'API keys read');
  }
}

function versionOf(path: string): string {
  const { mtimeMs, size, ino } = statSync(path);
  return `${mtimeMs}/${size}/${ino}`;
}
