import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Progress, progressLine } from '../src/progress.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

function recorder(isTTY: boolean) {
  const written: string[] = [];
  return { written, stream: { isTTY, write: (text: string) => written.push(text) > 0 } };
}

it('says bytes, share, rate and the time that is left', () => {
  expect(progressLine('importing x', 'bytes', 1.5e9, 6e9, 30)).toBe(
    'importing x  1.5 GB of 6.0 GB  25 %  50.0 MB/s  1 min 30 s left',
  );
});

it('is silent for a second, then one line over and over on a terminal, and nothing is left of it', () => {
  const { written, stream } = recorder(true);
  const progress = new Progress('x', 'bytes', stream);
  progress.update(1, 100);
  expect(written).toEqual([]);
  vi.advanceTimersByTime(1_000);
  progress.update(50, 100);
  expect(written.at(-1)).toSatisfy(
    (line: string) => line.startsWith('\rx ') && line.includes(' 50 % ') && line.endsWith('\x1b[K'),
  );
  progress.update(51, 100); // too soon
  progress.end();
  expect(written).toHaveLength(2);
  expect(written.at(-1)).toBe('\r\x1b[K');
});

it('writes plain lines, now and then, where there is no terminal', () => {
  const { written, stream } = recorder(false);
  const progress = new Progress('x', 'bytes', stream);
  for (let second = 0; second < 25; second++) {
    vi.advanceTimersByTime(1_000);
    progress.update(second, 25);
  }
  progress.end();
  expect(written).toHaveLength(3);
  expect(written.every((line) => /^x .*left\n$/.test(line))).toBe(true);
});
