/**
 * Progress of whatever takes longer than a second: one line that is written over on a terminal, else a plain line now and
 * then. Bytes, rate, time left.
 */
import type { WriteStream } from 'node:tty';

const FIRST_AFTER_MS = 1_000;
const TERMINAL_EVERY_MS = 100;
const PLAIN_EVERY_MS = 10_000;

export type ProgressUnit = 'bytes' | 'tokens' | 'answers';

export class Progress {
  readonly #label: string;
  readonly #unit: ProgressUnit;
  readonly #stream: Pick<WriteStream, 'write' | 'isTTY'>;
  readonly #startMs = performance.now();
  #nextMs = this.#startMs + FIRST_AFTER_MS;
  #hasLine = false;

  constructor(
    label: string,
    unit: ProgressUnit = 'bytes',
    stream: Pick<WriteStream, 'write' | 'isTTY'> = process.stderr,
  ) {
    this.#label = label;
    this.#unit = unit;
    this.#stream = stream;
  }

  /** Cheap: may be called often. */
  update(done: number, total: number): void {
    const nowMs = performance.now();
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + (this.#stream.isTTY ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS);
    const line = progressLine(this.#label, this.#unit, done, total, (nowMs - this.#startMs) / 1000);
    this.#hasLine = Boolean(this.#stream.isTTY);
    this.#stream.write(this.#hasLine ? `\r${line}\x1b[K` : `${line}\n`);
  }

  /** Leaves no half-written line behind. */
  end(): void {
    if (this.#hasLine) this.#stream.write('\r\x1b[K');
    this.#hasLine = false;
  }
}

/** 'importing  1.2 of 6.4 GB  19 %  210 MB/s  25 s left'. */
export function progressLine(label: string, unit: ProgressUnit, done: number, total: number, seconds: number): string {
  const text = unit === 'bytes' ? bytesText : (count: number) => `${Math.round(count)} ${unit}`;
  const rate = done / seconds;
  const left = rate > 0 ? durationText((total - done) / rate) : '?';
  const percent = total > 0 ? Math.floor((100 * done) / total) : 100;
  const rateText = rate < 1 ? '' : `${text(rate)}/s  `; // 'answers' may take seconds each
  return `${label}  ${text(done)} of ${text(total)}  ${percent} %  ${rateText}${left} left`;
}

export function bytesText(bytes: number): string {
  const [unit, size] = bytes >= 1e9 ? ['GB', 1e9] : bytes >= 1e6 ? ['MB', 1e6] : ['kB', 1e3];
  return `${(bytes / size).toFixed(1)} ${unit}`;
}

export function durationText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.ceil(seconds % 60)} s`;
}
