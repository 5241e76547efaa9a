/**
 * Receipts through HTTP on the tiny pair: answers of every rule hold on their target, and on a target that never saw the
 * answer; another precision under the same digest and a changed token do not.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, generate, ServiceProcess, startTrio, type Trio } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseReceipt, withPrompt } from '../src/read-receipt.ts';
import { replay } from '../src/replay.ts';
import { ReplayTarget } from '../src/target-rows.ts';

let trio: Trio;
let half: Trio;
let other: ServiceProcess;
let target: ReplayTarget;

beforeAll(async () => {
  other = new ServiceProcess('target-service', await freePort(), { MODEL_SIZE: 'tiny', LOG_LEVEL: 'warn' });
  const env = { LOG_LEVEL: 'warn' };
  [trio, half] = await Promise.all([
    startTrio({ target: 'tiny', draft: 'tiny-draft', env }),
    startTrio({ target: 'tiny-fp16', draft: 'tiny-draft-fp16', env }),
    other.start(),
  ]);
  target = await ReplayTarget.open({ url: other.url });
});
afterAll(() => Promise.all([trio?.stop(), half?.stop(), other?.end('SIGKILL')]));

async function receiptOf(more: object, from = trio) {
  const body = { prompt: 'Once upon a time', max_new_tokens: 48, draft_k: 4, receipt: true, ...more };
  const answer = await generate(from.coordinator.url, body);
  const receipt = withPrompt(parseReceipt(JSON.stringify(answer)));
  return { answer, receipt };
}

const SAMPLING = [
  { temperature: 0 },
  { temperature: 1 },
  { temperature: 0.8, top_p: 0.9, top_k: 50 },
  { temperature: 1.2, min_p: 0.02, repetition_penalty: 1.3, presence_penalty: 0.4, frequency_penalty: 0.2 },
  { temperature: 1, logit_bias: { 300: 3, 301: -50 }, suppress_tokens: [299, 5], ignore_eos: true },
];

describe('a receipt holds on a target that never saw the answer', () => {
  it.each(SAMPLING)('greedy and coupled, every token computed again: %j', async (sampling) => {
    const { answer, receipt } = await receiptOf(sampling);
    const report = await replay(receipt, target);
    expect(report).toMatchObject({ outcome: 'holds', difference: null, tolerance: 0, not_checked: [] });
    expect(report.num_recomputed).toBe(report.num_tokens);
    expect(report.num_tokens).toBeGreaterThanOrEqual(answer.token_ids.length);
    expect(receipt.rounds.some(({ draft_token_ids }) => draft_token_ids.length > 0)).toBe(true);
  });

  it.each(['rejection', 'block'])('%s, as far as it can be computed again', async (verification) => {
    const { receipt } = await receiptOf({
      verification,
      temperature: 1.3,
      seed: 5,
      max_new_tokens: 96,
      ignore_eos: true,
    });
    expect(receipt.rounds.some(({ draft_probs }) => draft_probs)).toBe(true);
    const report = await replay(receipt, target);
    expect(report).toMatchObject({ outcome: 'holds', difference: null });
    expect(report.num_recomputed).toBeGreaterThan(report.num_tokens / 4);
    expect(report.num_recomputed + report.num_supported).toBe(report.num_tokens);
  });

  it('that stops at a string says what it cannot check', async () => {
    const { answer } = await receiptOf({ seed: 3 });
    const stop = answer.text.slice(8, 12);
    const { receipt } = await receiptOf({ seed: 3, stop });
    const report = await replay(receipt, target);
    expect(report.outcome).toBe('holds');
    expect(report.not_checked.join()).toContain('stop string');
  });

  it('of an answer with a grammar claims nothing for tokens that the grammar may have decided', async () => {
    const { receipt } = await receiptOf({ structured_outputs: { regex: '[a-z]{12}' }, seed: 1 });
    const report = await replay(receipt, target);
    expect(report.outcome).not.toBe('does_not_hold');
    expect(report.num_not_checked).toBeGreaterThan(0);
    expect(report.not_checked.join()).toContain('grammar');
  });

  it('states the seed that was drawn, and does without the prompt where the reader has it', async () => {
    const { answer, receipt } = await receiptOf({});
    expect(receipt.seed).toBe(answer.seed);
    const { promptTokenIds, ...bare } = receipt;
    const { token_ids: _, ...prompt } = bare.prompt;
    const parsed = parseReceipt(JSON.stringify({ ...bare, prompt }));
    expect(() => withPrompt(parsed)).toThrow('--prompt-ids');
    expect(() => withPrompt(parsed, [1, 2, 3])).toThrow('prompt.sha256');
    expect((await replay(withPrompt(parsed, [...promptTokenIds]), target)).outcome).toBe('holds');
  });
});

describe('a receipt does not hold', () => {
  it.each([0, 0.9])('where one token was changed, which is named, temperature %d', async (temperature) => {
    const { receipt } = await receiptOf({ temperature, seed: 4, draft_k: 0, prompt_lookup: false, ignore_eos: true });
    const rounds = receipt.rounds.map((round, i) =>
      i === 20 ? { ...round, next_token_id: (round.next_token_id + 1) % 1024 } : round,
    );
    const report = await replay({ ...receipt, rounds }, target);
    expect(report.outcome).toBe('does_not_hold');
    expect(report.difference).toMatchObject({
      outputIndex: 20,
      round: 20,
      position: receipt.prompt.num_tokens + 20,
      expectedTokenId: receipt.rounds[20]!.next_token_id,
      unit: temperature === 0 ? 'log_probability' : 'perturbed_logit',
    });
    expect(report.difference!.margin).toBeGreaterThan(0);
  });

  it('where the same model in float16 answered under its digest, and the margin is small', async () => {
    let found = 0;
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const long = { seed, temperature: 1, max_new_tokens: 400, ignore_eos: true };
      const { receipt } = await receiptOf(long, half);
      expect((await replay(receipt, target)).outcome).toBe('cannot_tell');
      const lied = { ...receipt, target: (await receiptOf({})).receipt.target };
      const { outcome, difference } = await replay(lied, target);
      if (outcome === 'holds') continue;
      found++;
      expect(difference!.margin).toBeLessThan(0.1);
      expect((await replay(lied, target, { tolerance: 0.1 })).outcome).toBe('cannot_tell');
    }
    expect(found).toBeGreaterThan(0);
  });
});

describe('receipts of the OpenAI routes', () => {
  const post = (path: string, body: object) =>
    fetch(`${trio.coordinator.url}/v1/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Once upon', max_tokens: 16, forerunner: { receipt: true }, ...body }),
    });

  it('are of each choice, whole and in its last chunk', async () => {
    const whole = await (await post('completions', { n: 2, seed: 8 })).text();
    for (const choice of [0, 1])
      expect((await replay(withPrompt(parseReceipt(whole, choice)), target)).outcome).toBe('holds');
    const stream = await (await post('completions', { seed: 8, stream: true })).text();
    expect(stream.split('\n\n').filter((line) => line.includes('"receipt"'))).toHaveLength(1);
    const streamed = parseReceipt(stream);
    expect(streamed).toEqual({ ...parseReceipt(whole), rounds: streamed.rounds });
    expect((await replay(withPrompt(streamed), target)).outcome).toBe('holds');
  });

  it('are not there where none is asked for', async () => {
    expect(await (await post('completions', { forerunner: {} })).text()).not.toContain('receipt');
  });
});

it('the command says so in lines and as JSON, with an exit code', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'receipts-'));
  try {
    const { receipt } = await receiptOf({ temperature: 0, draft_k: 0, prompt_lookup: false });
    const { promptTokenIds: _, ...honest } = receipt;
    const rounds = honest.rounds.map((round, i) => (i === 9 ? { ...round, next_token_id: 7 } : round));
    const replayed = (written: object, ...more: string[]) => {
      writeFileSync(join(folder, 'receipt.json'), JSON.stringify(written));
      const args = [join(folder, 'receipt.json'), '--url', other.url, ...more];
      return promisify(execFile)(process.execPath, [fileURLToPath(new URL('../src/cli.ts', import.meta.url)), ...args]);
    };
    expect((await replayed(honest)).stdout).toMatch(/^holds: 48 of 48 tokens/);
    expect(JSON.parse((await replayed(honest, '--json')).stdout)).toMatchObject({ outcome: 'holds' });
    await expect(replayed({ ...honest, rounds })).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^does not hold: .*\nposition \d+ \(token 9 of .*, margin /),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('a target that is a coordinator, or nobody, is refused by name', async () => {
  await expect(ReplayTarget.open({ url: trio.coordinator.url })).rejects.toThrow('is a coordinator');
  await expect(ReplayTarget.open({ url: `http://127.0.0.1:${await freePort()}` })).rejects.toThrow('does not answer');
});
