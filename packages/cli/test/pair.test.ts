/** `forerunner pair`: the arithmetic on known figures, and the command on the tiny pair. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testCard } from '@forerunner/testkit';
import { afterAll, describe, expect, it } from 'vitest';
import { plotSvg, plotText } from '../src/pair/plot.ts';
import { bestOf, predictSpeedups } from '../src/pair/predict.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'forerunner-pair-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A target of 10 ms whatever the rows, a draft of 1 ms, nothing beside. */
const flat = (ms: number) => ({ rows: [1], ms: [ms], ms_per_sequence: 0, ms_per_1024_cached_tokens: 0 });
const free = { target_trip_ms: 0, draft_trip_ms: 0, guess_ms: 0 };
const predict = (kept: readonly number[], overheads = free) =>
  predictSpeedups({
    target: testCard('target-service', { pass_costs: flat(10) }),
    draft: testCard('draft-service', { pass_costs: flat(1) }),
    overheads: { greedy: overheads, sampled: overheads },
    kind: 'greedy',
    kept,
    numCachedTokens: 100,
  });

describe('the prediction', () => {
  it('is tokens a round over what the round costs, in passes of the target', () => {
    const speedups = predict([0.8, 0.64]).map(({ speedup }) => speedup);
    expect(speedups).toHaveLength(3);
    expect(speedups[0]).toBeCloseTo(1);
    expect(speedups[1]).toBeCloseTo(1.8 / 1.1);
    expect(speedups[2]).toBeCloseTo(2.44 / 1.2);
  });

  it('counts the ways to the services and what each guess takes', () => {
    const [, one] = predict([0.8], { target_trip_ms: 2, draft_trip_ms: 1, guess_ms: 0.5 });
    expect(one!.speedup).toBeCloseTo((1.8 * 12) / (12 + 1 + 1.5));
  });

  it('is best without guesses where none is kept', () => {
    expect(bestOf(predict([0, 0])).draftK).toBe(0);
    expect(bestOf(predict([0.9, 0.1, 0.1])).draftK).toBe(1);
  });
});

it('is drawn with the best length marked', () => {
  const lengths = predict([0.8, 0.1]);
  const lines = plotText(lengths, 1);
  expect(lines).toHaveLength(4);
  expect(lines[2]).toMatch(/^ +1 +1\.64 +1\.80 +█{40} ← best$/);
  const svg = plotSvg('a & b', lengths, 1);
  expect(svg).toContain('<title>a &amp; b</title>');
  expect(svg.match(/class="best"/g)).toHaveLength(1);
  expect(svg.match(/class="bar"/g)).toHaveLength(2);
});

function forerunner(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [at('../src/main.ts'), 'pair', ...args], {
    encoding: 'utf8',
    env: { ...process.env, FORERUNNER_MODELS: join(root, 'models'), ORT_DISABLE_TELEMETRY: '1' },
  });
  return { status, stdout, stderr };
}

it('runs a pair on prompts of one’s own, and says how far guesses got and how fast it was', () => {
  const prompts = join(root, 'prompts.txt');
  const svg = join(root, 'pair.svg');
  writeFileSync(prompts, 'Once upon a time\n\n"Two\\nlines"\n');
  const options = ['--prompts', prompts, '--max-tokens', '16', '--max-k', '3', '--svg', svg, '--json'];
  const { status, stdout } = forerunner('tiny', 'tiny-draft', ...options);
  expect(status).toBe(0);
  const { target, drafts, refused } = JSON.parse(stdout);
  expect({ target, refused }).toEqual({ target: 'tiny', refused: [] });
  const [pair] = drafts;
  expect(pair).toMatchObject({ draft: 'tiny-draft', pass_costs: { target: { ms: expect.any(Array) } } });
  expect(pair.acceptance_by_position).toHaveLength(3);
  expect(pair.acceptance_by_position[0]).toBeGreaterThan(0.3); // it is the target plus noise
  expect(pair.acceptance_by_position[0]).toBeLessThanOrEqual(1);
  expect(pair.predicted.map(({ draft_k }: { draft_k: number }) => draft_k)).toEqual([0, 1, 2, 3]);
  expect(pair.predicted[0].speedup).toBeCloseTo(1);
  expect(pair.tokens_per_second.alone).toBeGreaterThan(0);
  expect(pair.tokens_per_second.fixed).toBeGreaterThan(0);
  expect(readFileSync(svg, 'utf8')).toContain('tiny with tiny-draft');
}, 60_000);

/** The tiny draft with something changed. */
function changedDraft(name: string, file: string, change: (content: Record<string, unknown>) => void): string {
  const dir = join(root, name);
  mkdirSync(dir);
  cpSync(at('../../../models/tiny-draft'), dir, { recursive: true });
  const content = JSON.parse(readFileSync(join(dir, file), 'utf8'));
  change(content);
  writeFileSync(join(dir, file), JSON.stringify(content));
  return dir;
}

it('says what the tokenizers differ in', () => {
  const dir = changedDraft('other-tokenizer', 'tokenizer.json', (tokenizer) => {
    const { vocab } = tokenizer.model as { vocab: Record<string, number> };
    const [first, second] = Object.keys(vocab).slice(300);
    [vocab[first!], vocab[second!]] = [vocab[second!]!, vocab[first!]!];
    tokenizer.decoder = { type: 'Fuse' };
  });
  const { status, stderr } = forerunner('tiny', dir);
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /do not fit, their tokenizers differ: decoder differs; .* give 2 tokens other ids; ".+" is \d+ and \d+/,
  );
  expect(stderr).not.toContain('    at ');
});

it.each([
  [[], 2, /pair wants one TARGET/],
  [['tiny', 'tiny-draft', '--max-k', '0'], 2, /--max-k is a number from 1 to 32, not 0/],
  [['tiny', 'tiny-draft', '--max-tokens', '2.5'], 2, /--max-tokens is a whole number from 2 to 4096, not 2.5/],
  [['tiny', '135m-draft'], 1, /do not fit, their tokenizers differ: .*vocabularies \(\d+ and \d+ tokens\)/],
])('answers %j with status %i and one sentence', (args, status, message) => {
  const result = forerunner(...args);
  expect(result.status).toBe(status);
  expect(result.stderr).toMatch(message);
});
