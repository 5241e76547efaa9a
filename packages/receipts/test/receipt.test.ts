/** Bad files, receipts that contradict themselves, and lies about decisions, over rows that a test makes up. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { samplingParams } from '@forerunner/model-service/sampling-params';
import { type ModelCard, RECEIPT_FORMAT, type Receipt, tokenIdsSha256, wireSamplingSchema } from '@forerunner/protocol';
import { CounterRng, drawFrom, probOf, Sampler, STREAM, seededVerdict } from '@forerunner/sampling';
import { seededRandom } from '@forerunner/testkit';
import { afterAll, describe, expect, it } from 'vitest';
import { parseReceipt, withPrompt } from '../src/read-receipt.ts';
import { replay } from '../src/replay.ts';

const VOCAB_SIZE = 32;
const PROMPT = [3, 5, 7];
const K = 3;
const DIGEST = 'd'.repeat(64);
const card = {
  model_id: 'toy',
  model_digest: DIGEST,
  tokenizer_fingerprint: 'f',
  numeric_regime: 'bit-exact',
  runtime: 'r',
  runtime_version: '1',
  execution_provider: 'cpu',
} as const;
const { output_start: _, ...sampling } = wireSamplingSchema.parse({});
const sampler = new Sampler(VOCAB_SIZE);

/** Logits that depend on the whole text. */
function rowAfter(model: number, text: ArrayLike<number>): Float32Array {
  const random = seededRandom(Array.from(text).reduce((hash, id) => (hash * 31 + id + 1) % 999_983, model));
  return Float32Array.from({ length: VOCAB_SIZE }, () => 3 * random());
}
const target = {
  card: { ...card, vocab_size: VOCAB_SIZE } as unknown as ModelCard,
  async *rows(text: Int32Array, first: number) {
    for (let i = first; i < text.length; i++) yield rowAfter(1, text.subarray(0, i + 1));
  },
};

/** An answer of 40 tokens and more as the services would have given it; `certain`: guesses that came without distributions. */
function receiptOf(rule: 'rejection' | 'block', seed = 1, certain = false) {
  const text = [...PROMPT];
  const params = samplingParams({ ...sampling, output_start: PROMPT.length });
  const distribution = (model: number, of: readonly number[]) => sampler.distribution(rowAfter(model, of), params);
  const rng = new CounterRng(seed);
  const rounds: Receipt['rounds'] = [];
  while (text.length < PROMPT.length + 40) {
    const position = text.length;
    const drafted = [...text];
    const q = Array.from({ length: K }, (_, i) => {
      const one = distribution(2, drafted);
      drafted.push(drawFrom(one, rng.uniform(STREAM.draftDraw, position + i, i)));
      return one;
    });
    const guesses = drafted.slice(position);
    const verdict = seededVerdict(rule, {
      seed,
      position,
      draftTokenIds: Int32Array.from(guesses),
      draftDistributions: certain ? [] : q,
      targetDistribution: (i) => distribution(1, drafted.slice(0, position + i)),
    });
    const next = verdict.bonusTokenId ?? verdict.recoveredTokenId;
    text.push(...guesses.slice(0, verdict.numAcceptedTokens), next);
    rounds.push({
      source: 'draft',
      draft_token_ids: guesses,
      ...(!certain && { draft_probs: guesses.map((id, i) => probOf(q[i]!, id)) }),
      num_accepted_tokens: verdict.numAcceptedTokens,
      next_token_id: next,
    });
  }
  const numTokens = text.length - PROMPT.length;
  const receipt: Receipt = {
    format: RECEIPT_FORMAT,
    target: card,
    draft: null,
    prompt: { num_tokens: PROMPT.length, sha256: tokenIdsSha256(PROMPT), token_ids: PROMPT },
    sampling,
    seed,
    verification: rule,
    max_new_tokens: numTokens,
    min_tokens: 0,
    stop: [],
    stop_token_ids: [VOCAB_SIZE + 1],
    structured: false,
    rounds,
    num_output_tokens: numTokens,
    finish_reason: 'length',
  };
  return receipt;
}

const run = (receipt: Receipt) => replay(withPrompt(receipt), target);
/** With one round changed. */
const changed = (receipt: Receipt, at: number, change: Partial<Receipt['rounds'][number]>): Receipt => ({
  ...receipt,
  rounds: receipt.rounds.map((round, i) => (i === at ? { ...round, ...change } : round)),
});

describe.each(['rejection', 'block'] as const)('of %s', (rule) => {
  it('an honest receipt holds, for many seeds', async () => {
    for (let seed = 0; seed < 20; seed++) expect((await run(receiptOf(rule, seed))).outcome).toBe('holds');
  });

  it('of guesses that were certain, too, and then nothing but how many block kept is left open', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const report = await run(receiptOf(rule, seed, true));
      expect(report.outcome).toBe('holds');
      if (rule === 'rejection') expect(report.num_recomputed).toBe(report.num_tokens);
      else expect(report.num_recomputed).toBeGreaterThan(report.num_tokens / 2);
    }
  });

  it('another bonus token does not', async () => {
    const receipt = receiptOf(rule);
    const at = receipt.rounds.findIndex((round) => round.num_accepted_tokens === K);
    expect(at).toBeGreaterThanOrEqual(0);
    const report = await run(
      changed(receipt, at, { next_token_id: (receipt.rounds[at]!.next_token_id + 1) % VOCAB_SIZE }),
    );
    expect(report.difference).toMatchObject({
      round: at,
      unit: 'probability',
      expectedTokenId: receipt.rounds[at]!.next_token_id,
    });
  });

  it('another seed does not', async () => {
    expect((await run({ ...receiptOf(rule), seed: 2 })).outcome).toBe('does_not_hold');
  });
});

describe('of rejection', () => {
  it('a refused guess that would have passed does not hold, nor a kept one that would have failed', async () => {
    const receipt = receiptOf('rejection');
    const refusal = receipt.rounds.findIndex((round) => round.num_accepted_tokens === 0);
    const probs = receipt.rounds[refusal]!.draft_probs!;
    const tiny = await run(changed(receipt, refusal, { draft_probs: probs.with(0, 1e-9) }));
    expect(tiny.difference).toMatchObject({ round: refusal, unit: 'log_ratio' });
    let numCaught = 0;
    for (const [at, round] of receipt.rounds.entries()) {
      if (round.num_accepted_tokens === 0) continue;
      const report = await run(changed(receipt, at, { draft_probs: round.draft_probs!.with(0, 1) }));
      if (report.difference?.round === at && report.difference.unit === 'log_ratio') numCaught++;
    }
    expect(numCaught).toBeGreaterThan(0);
  });
});

describe('a receipt that contradicts itself does not hold', () => {
  const receipt = receiptOf('rejection');
  it.each<[string, Partial<Receipt>]>([
    ['tokens, and the rounds gave', { num_output_tokens: 500, max_new_tokens: 500 }],
    ['came before its last round', { num_output_tokens: 4, max_new_tokens: 4 }],
    ['more than max_new_tokens', { max_new_tokens: 10 }],
    ['ended for its length', { max_new_tokens: 400 }],
    ['no token that ends it and no stop string', { finish_reason: 'stop' }],
    ['ends it, and', { stop_token_ids: [...new Array(VOCAB_SIZE).keys()] }],
    ['does not go with a temperature', { sampling: { ...sampling, temperature: 0 } }],
    ['belong to rejection and block', { verification: 'coupled' }],
    ['is said to have kept', changed(receipt, 0, { draft_token_ids: [1], draft_probs: [1], num_accepted_tokens: 2 })],
    ['draft_probs for', changed(receipt, 0, { draft_probs: [1] })],
    ['has no token', changed(receipt, 0, { next_token_id: 999 })],
  ])('%s', async (sentence, change) => {
    const report = await run({ ...receipt, ...change });
    expect(report.outcome).toBe('does_not_hold');
    expect(report.num_recomputed).toBe(0);
    expect(report.reason).toContain(sentence);
  });

  it('greedy or coupled: a guess that is the token which took its place', async () => {
    const greedy = { ...receipt, verification: 'greedy' as const, sampling: { ...sampling, temperature: 0 } };
    const next = sampler.likeliest(rowAfter(1, PROMPT), samplingParams({ ...greedy.sampling, output_start: 3 }));
    const rounds = [{ source: 'draft' as const, draft_token_ids: [next], num_accepted_tokens: 0, next_token_id: next }];
    const report = await run({ ...greedy, rounds, num_output_tokens: 1, max_new_tokens: 1 });
    expect(report.difference?.why).toContain('is the token that took its place');
  });
});

it('a receipt is found by itself, in replies, and in streams', () => {
  const receipt = receiptOf('rejection', 1, true);
  const choices = [{ index: 1, forerunner: { seed: 1, receipt } }];
  const eventsOf = (last: object) =>
    `event: some\ndata: {"text":"a"}\n\ndata: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`;
  for (const reply of [
    receipt,
    { receipt },
    { forerunner: { receipt } },
    { response: { forerunner: { receipt } } },
    { choices },
  ])
    for (const text of [JSON.stringify(reply), eventsOf(reply)]) expect(parseReceipt(text, 1)).toEqual(receipt);
  expect(() => parseReceipt(eventsOf({ choices }))).toThrow('no receipt in it of choice 0');
});

it('a receipt of another model is compared, and neither confirmed nor refuted', async () => {
  const named = (receipt: Receipt) => ({ ...receipt, target: { ...receipt.target, model_digest: 'e'.repeat(64) } });
  const receipt = receiptOf('rejection', 1, true);
  const same = await run(named(receipt));
  expect(same).toMatchObject({ outcome: 'cannot_tell', difference: null, num_recomputed: receipt.num_output_tokens });
  const other = await run(named({ ...receipt, seed: 2 }));
  expect(other.outcome).toBe('cannot_tell');
  expect(other.reason).toContain('(dddddddddddd), with which');
  expect(other.difference).not.toBeNull();
  const foreign = { ...receipt, target: { ...receipt.target, tokenizer_fingerprint: 'g' } };
  await expect(run(foreign)).rejects.toMatchObject({ code: 'tokenizer_mismatch' });
});

describe('the command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'receipts-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'receipt.json');
  const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
  const command = (...args: string[]) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });

  it.each<[string, string, string[]]>([
    ['bad_receipt', '{"text":"a reply without one"}', []],
    ['bad_argument', '{}', ['--choice', 'x']],
    ['bad_argument', '{}', ['--no-such-option']],
    ['target_unusable', JSON.stringify(receiptOf('rejection')), []],
  ])('ends with exit code 2 and a code: %s', (code, text, more) => {
    writeFileSync(file, text);
    const args = [file, '--url', 'http://127.0.0.1:1', ...more];
    const said = command(...args);
    expect(said).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(`(${code})`) });
    const asJson = command(...args, '--json');
    expect(asJson.status).toBe(2);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ outcome: 'cannot_tell', error: { code } });
  });

  it('names a file that it cannot read', () => {
    const said = command(join(folder, 'none.json'), '--url', 'http://127.0.0.1:1');
    expect(said).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/none\.json cannot be read.*\(bad_argument\)/),
    });
  });
});

describe('a file that is no receipt', () => {
  const whole = receiptOf('rejection');
  it.each<[string, string]>([
    ['neither JSON', '{'],
    ['no receipt in it', '{}'],
    [`must be "${RECEIPT_FORMAT}"`, JSON.stringify({ ...whole, format: 'forerunner-receipt/9' })],
    ['"seed"', JSON.stringify({ ...whole, seed: -1 })],
    ['"rounds.0.next_token_id"', JSON.stringify({ ...whole, rounds: [{}] })],
    [
      '"sampling.temperature": must be at most 100',
      JSON.stringify({ ...whole, sampling: { ...sampling, temperature: 101 } }),
    ],
    ['choice 0', JSON.stringify({ choices: [{ forerunner: { seed: 1 } }] })],
  ])('is refused by name: %s', (words, text) => {
    expect(() => parseReceipt(text)).toThrow(
      expect.objectContaining({ code: 'bad_receipt', message: expect.stringContaining(words) }),
    );
  });

  it('and one whose prompt is not the one that was digested', () => {
    const prompt = { ...whole.prompt, token_ids: [3, 5, 8] };
    expect(() => withPrompt({ ...whole, prompt })).toThrow('"prompt.token_ids"');
  });
});
